package agent

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestAPortThatWindowsReserves(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	addr := ln.Addr().String()
	reserved := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", errPortReserved)}
	for cause, text := range map[error]string{reserved: "is reserved by Windows", os.NewSyscallError("bind", errPortBusy): "in use by another program"} {
		err := refused(t.Context(), "imap", addr, cause)
		hint := fault.Hint(err)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), text) || strings.Contains(hint, addr) || strings.Contains(hint, ":0") {
			t.Errorf("%v; hint: %s", err, hint)
		}
	}
}
