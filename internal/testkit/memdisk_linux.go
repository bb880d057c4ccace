package testkit

import (
	"os"
	"syscall"

	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// UseMemoryDisk has the folders of tests, t.TempDir among them, in memory where the
// machine has 2 GiB for that: what they try is rules, and syncing a disk takes most
// of their time. The long forms of tests stay on the disk. It is for TestMain.
func UseMemoryDisk() {
	const dir, enough = "/dev/shm", 2 << 30
	var st syscall.Statfs_t
	if rounds.Long() || syscall.Statfs(dir, &st) != nil || st.Bavail*uint64(st.Bsize) < enough {
		return
	}
	_ = os.Setenv("TMPDIR", dir)
}
