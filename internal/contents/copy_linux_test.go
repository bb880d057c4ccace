package contents

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A disk with a bad spot is when a backup is needed most.
func TestABackupOfWhatCannotBeRead(t *testing.T) {
	bad := filepath.Join("/proc", "self", "mem") // a regular file, and EIO at its beginning
	dir := t.TempDir()
	err := copyFile(t.Context(), bad, filepath.Join(dir, "copy"), Hash{})
	if d, ok := errors.AsType[*Damage](err); !ok || d.Code != "unreadable-file" || d.Err == nil {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
