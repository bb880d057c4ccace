package submission

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// script is a client that sends what it has to say in pieces, without waiting for
// replies, and closes.
type script struct {
	net.Conn // nil: what is not below is not called
	in       io.Reader
	piece    int // octets of one read at most

	mu     sync.Mutex
	out    strings.Builder
	closed chan struct{}
	once   sync.Once
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p[:min(len(p), s.piece)]) }
func (s *script) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (s *script) LocalAddr() net.Addr              { return s.RemoteAddr() }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// only is a listener with one client.
type only struct {
	client chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (o *only) Accept() (net.Conn, error) {
	select {
	case c := <-o.client:
		return c, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

func (o *only) Close() error   { o.once.Do(func() { close(o.closed) }); return nil }
func (o *only) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// play has a client say all of in, in pieces, and returns the replies.
func (r *server) play(in io.Reader, piece int) string {
	c := &script{in: in, piece: piece, closed: make(chan struct{})}
	ln := &only{client: make(chan net.Conn, 1), closed: make(chan struct{})}
	ln.client <- c
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-c.closed
		cancel()
	}()
	if err := r.server.Serve(ctx, ln); err != nil {
		r.t.Error(err)
	}
	return c.out.String()
}

// codes returns the codes of replies without the greeting, each once for all its lines.
func codes(replies string) string {
	var list []string
	for line := range strings.Lines(replies) {
		if len(line) > 3 && line[3] != '-' {
			list = append(list, line[:3])
		}
	}
	return strings.Join(list[min(1, len(list)):], " ")
}

// begun is a session up to its DATA, in which every reply is good.
const begun = "EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
