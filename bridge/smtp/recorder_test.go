package smtp

import (
	"context"
	"crypto/x509"
	"net"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
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

// leafOf is the certificate of a server.
func leafOf(t *testing.T, ca *testkit.TLS) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(ca.ServerConfig.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
