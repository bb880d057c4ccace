//go:build unix

package agent

import "syscall"

// errPortBusy is what bind says of a port that another socket has.
const errPortBusy = syscall.EADDRINUSE
