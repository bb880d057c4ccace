package agent

import "golang.org/x/sys/windows"

// errPortBusy is what bind says of a port that another socket has.
const errPortBusy = windows.WSAEADDRINUSE

// errPortReserved is what bind says of a port in a range that the system keeps for
// Hyper-V, WSL or Docker (`netsh int ipv4 show excludedportrange tcp`).
const errPortReserved = windows.WSAEACCES
