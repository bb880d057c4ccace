//go:build unix

package agent

import (
	"errors"
	"syscall"
)

// errPortBusy is what bind says of a port that another socket has.
const errPortBusy = syscall.EADDRINUSE

// errPortReserved is what bind never says here: see Windows.
var errPortReserved = errors.New("the system reserves this port")
