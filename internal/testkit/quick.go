package testkit

import (
	"os"

	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// Quick has the short forms of tests spend no time on what they are not about:
// passwords are hashed at low cost, and the folders of tests, t.TempDir among them,
// are in memory where the machine has 2 GiB for that. It is for TestMain.
func Quick() {
	if rounds.Long() {
		return
	}
	password.CheapForTests()
	if dir := memoryDisk(2 << 30); dir != "" {
		_ = os.Setenv("TMPDIR", dir)
	}
}
