package agent

import "golang.org/x/sys/windows"

// errPortBusy is what bind says of a port that another socket has.
const errPortBusy = windows.WSAEADDRINUSE
