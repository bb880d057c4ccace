package mailstore

import (
	"os"
	"path/filepath"
	"testing"
)

// A disk with a bad spot is when a backup is needed most.
func TestABackupOfWhatCannotBeRead(t *testing.T) {
	bad := filepath.Join("/proc", "self", "mem") // a regular file, and EIO at its beginning
	for _, needed := range []bool{true, false} {
		c := copier{from: func(Hash) string { return bad }, dir: t.TempDir(), needed: needed}
		n, problem, err := c.bring(t.Context(), knownContent{}, filepath.Join(c.dir, "copy"))
		if n != 0 || problem != "unreadable-file" || err != nil {
			t.Errorf("%d, %s, %v", n, problem, err)
		}
		if left, err := os.ReadDir(c.dir); err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
	}
}
