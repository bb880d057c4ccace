//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package cli

import "golang.org/x/sys/unix"

// How the settings of a terminal are read and written (termios(4), ioctl_tty(2)).
const (
	getTerminal = unix.TIOCGETA
	setTerminal = unix.TIOCSETA
)
