package localimap

import (
	"context"
	"net"
	"testing"
)

// passing is an error of Accept as when there is no file descriptor left.
type passing struct{}

func (passing) Error() string   { return "too many open files" }
func (passing) Temporary() bool { return true }

type flaky struct {
	net.Listener
	fails int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.fails--; f.fails >= 0 {
		return nil, passing{}
	}
	return f.Listener.Accept()
}

// TestServeGoesOnAfterPassingTrouble: the clients that are connected must not
// be cut off because another one cannot be accepted now.
func TestServeGoesOnAfterPassingTrouble(t *testing.T) {
	r := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, &flaky{ln, 3}) }()
	first := r.addr
	r.addr = ln.Addr().String()
	r.talk("joe").do("a SELECT INBOX", "a OK")
	r.addr = first
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
