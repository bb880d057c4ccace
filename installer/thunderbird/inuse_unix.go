//go:build unix

package thunderbird

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// inUse reports whether a Thunderbird runs with the profile: it holds a lock of POSIX
// on .parentlock (nsProfileLock.cpp).
func inUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, ".parentlock"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}
