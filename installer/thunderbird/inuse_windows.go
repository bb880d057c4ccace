package thunderbird

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// inUse reports whether a Thunderbird runs with the profile: it has parent.lock open and
// shares it with no one (nsProfileLock.cpp).
func inUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "parent.lock"))
	if err == nil {
		_ = f.Close()
	}
	return err != nil && !errors.Is(err, fs.ErrNotExist)
}
