package smtp

import (
	"context"
	"net"
	"sync"

	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// recorder keeps what a client sends.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	all []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	r.all = append(r.all, p...)
	r.mu.Unlock()
	return r.Conn.Write(p)
}

func (r *recorder) sent() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.all)
}

// dialer connects to a server and records.
func (r *recorder) dialer(s *scripted.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := s.Dial(ctx, network, addr)
		r.Conn = conn
		return r, err
	}
}
