package testkit

import (
	"flag"
	"os"
	"runtime/debug"

	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// Quick has the short forms of tests spend no time on what they are not about:
// passwords are hashed at low cost, garbage is collected less often, and the folders of tests, t.TempDir among them,
// are in memory where the machine has 2 GiB for that. It is for TestMain.
func Quick() {
	if rounds.Long() {
		return
	}
	password.CheapForTests()
	debug.SetGCPercent(400)
	if dir := memoryDisk(2 << 30); dir != "" {
		_ = os.Setenv("TMPDIR", dir)
	}
}

// Overlap lets eight parallel tests run at once in the short forms, however few
// processors there are: for packages whose tests wait more than they work, which those
// with the race detector do not. It is for TestMain; -parallel decides where it is
// given.
func Overlap() {
	if !rounds.Long() && !raceDetector {
		_ = flag.Set("test.parallel", "8")
	}
}
