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

	mu  sync.Mutex
	out strings.Builder
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p[:min(len(p), s.piece)]) }
func (s *script) Close() error                     { return nil }
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

// play has a client say all of in, in pieces, and returns the replies.
func (r *server) play(in io.Reader, piece int) string {
	c := &script{in: in, piece: piece}
	run := &serving{server: r.server, conns: make(map[*conn]struct{}), sessions: make(map[*session]struct{})}
	run.ctx, run.abort = context.WithCancel(context.Background())
	defer run.abort()
	run.start(c)
	run.open.Wait()
	if len(run.conns)+len(run.sessions) > 0 || len(r.server.anon)+len(r.server.logins)+r.server.conns > 0 {
		r.t.Errorf("%d connections and %d sessions are left", len(run.conns), len(run.sessions))
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
