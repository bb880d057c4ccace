//go:build unix

package cli

import "golang.org/x/sys/unix"

// hideTyping makes a terminal show nothing of what is typed until restore. Lines, Ctrl-C
// and Ctrl-D work as before; term.ReadPassword takes no notice of the last one.
func hideTyping(fd int) (restore func() error, err error) {
	before, err := unix.IoctlGetTermios(fd, getTerminal)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	return func() error { return unix.IoctlSetTermios(fd, setTerminal, before) }, unix.IoctlSetTermios(fd, setTerminal, &hidden)
}
