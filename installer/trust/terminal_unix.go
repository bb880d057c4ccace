//go:build unix

package trust

import (
	"os/exec"
	"syscall"
)

// withoutTerminal makes a program one that has no terminal to ask at: certutil and its
// like open that of the session.
func withoutTerminal(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
