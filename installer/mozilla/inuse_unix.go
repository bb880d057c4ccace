//go:build unix

package mozilla

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// InUse reports whether the program runs with the profile: it holds a lock of POSIX on
// .parentlock (nsProfileLock.cpp).
func InUse(profile string) bool {
	f, err := os.Open(filepath.Join(profile, ".parentlock"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}
