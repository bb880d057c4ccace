//go:build unix

package trust

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
	"os"
)

// withoutTerminal makes a program one that has no terminal to ask at: certutil and its
// like open that of the session.
func withoutTerminal(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// locked reports whether another process holds a lock on a file, as Mozilla's programs
// do on the one in their profile.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	l := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &l) == nil && l.Type != unix.F_UNLCK
}

const lockFile = ".parentlock"
