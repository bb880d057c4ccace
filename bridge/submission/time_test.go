package submission

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects a client that takes what it is sent.
func (p *pipes) dial() *pipeClient {
	ours, theirs := net.Pipe()
	p.conns <- ours
	c := &pipeClient{Conn: theirs, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		buf := make([]byte, 4096)
		for {
			n, err := theirs.Read(buf)
			c.mu.Lock()
			c.got.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

type pipeClient struct {
	net.Conn
	ended chan struct{} // the server has closed
	mu    sync.Mutex
	got   bytes.Buffer
}

func (c *pipeClient) replies() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

// inTime runs a test with a server on pipes, where time passes as soon as all wait.
func inTime(t *testing.T, run func(t *testing.T, r *server, p *pipes)) {
	t.Helper()
	store := openRig(t) // whose goroutines are no part of the bubble
	synctest.Test(t, func(t *testing.T) {
		r := &server{t: t, store: store.store, routes: store.routes}
		r.server = New(Options{Login: r.login, Security: serving.Off, Log: zerolog.Nop()})
		p := newPipes()
		r.stop = r.serve(p)
		defer r.stop()
		run(t, r, p)
	})
}

// TestASlowClient: it may take its time for each piece, within a message too, but none
// is waited for that has stopped; and what it had not ended is neither sent nor run.
func TestASlowClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		said  string
		every time.Duration // for each octet of slow, before the silence
		slow  string
		after time.Duration // of silence until the end
		want  string
	}{
		{"says nothing", "", 0, "", serving.SilentTimeout, "421"},
		{"says half a command", "", time.Second, "EHL", serving.SilentTimeout - 3*time.Second, "421"},
		{"does not log in", "EHLO x\r\n", time.Second, "NOOP\r\n", serving.LoginTimeout - 6*time.Second, "250 250 421"},
		{"stops in a login", "EHLO x\r\nAUTH LOGIN\r\n", 0, "", serving.LoginTimeout, "250 334 421"},
		{"stops after login", "EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\n", 4 * time.Minute, "NOOP\r\n", stallTimeout, "250 235 250 421"},
		{"stops in the header", begun, 4 * time.Minute, "From: ", stallTimeout, "250 235 250 250 354 421"},
		{"stops in the body", begun + headed + "\r\n", 4 * time.Minute, "QUIT\r\n.", stallTimeout, "250 235 250 250 354 421"},
		{"stops before the LF", begun + headed + "\r\n.\r", 0, "", stallTimeout, "250 235 250 250 354 421"},
	} {
		inTime(t, func(t *testing.T, r *server, p *pipes) {
			c := p.dial()
			_, _ = io.WriteString(c, tt.said)
			for i := range tt.slow {
				time.Sleep(tt.every)
				_, _ = io.WriteString(c, tt.slow[i:i+1])
			}
			start := time.Now()
			<-c.ended
			if took := time.Since(start); took != tt.after {
				t.Errorf("%s: given up after %v, want %v", tt.name, took, tt.after)
			}
			if got := codes(c.replies()); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
			if len(r.messages()) > 0 {
				t.Errorf("%s: a message was submitted", tt.name)
			}
		})
	}
}

// TestAVerySlowMessage takes hours and is submitted nevertheless.
func TestAVerySlowMessage(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, p *pipes) {
		c := p.dial()
		_, _ = io.WriteString(c, begun)
		for _, octet := range headed + "\r\nx\r\n.\r\n" {
			time.Sleep(stallTimeout - time.Second)
			_, _ = io.WriteString(c, string(octet))
		}
		_, _ = io.WriteString(c, "QUIT\r\n")
		<-c.ended
		r.last(1)
	})
}

// TestAClientThatDoesNotRead is not waited for.
func TestAClientThatDoesNotRead(t *testing.T) {
	inTime(t, func(t *testing.T, _ *server, p *pipes) {
		ours, theirs := net.Pipe()
		p.conns <- ours
		start := time.Now()
		_, err := io.ReadFull(theirs, make([]byte, 5))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * serving.FlushTimeout)
		if _, err = theirs.Write([]byte("x")); err == nil {
			t.Errorf("after %v the connection goes on", time.Since(start))
		}
	})
}

// TestCrowds: of thousands that connect and say nothing the oldest make room, and
// whoever comes then can send.
func TestCrowds(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, p *pipes) {
		var crowd []*pipeClient
		for range rounds.Of(1000, 10_000) {
			crowd = append(crowd, p.dial())
		}
		c := p.dial()
		_, _ = io.WriteString(c, begun+headed+"\r\nx\r\n.\r\nQUIT\r\n")
		<-c.ended
		r.last(1)
		refused := 0
		for _, other := range crowd {
			if strings.Contains(other.replies(), "421 4.3.2 Too many connections") {
				refused++
			}
			_ = other.Close()
		}
		if refused < len(crowd)/2 { // the others were closed without a word
			t.Errorf("%d heard why", refused)
		}
	})
}

// TestASubmissionThatHangs holds the end of the server up for a bounded time, and its
// client is not told that it was queued.
func TestASubmissionThatHangs(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, p *pipes) {
		began := make(chan struct{})
		r.submit = func(ctx context.Context, _ Submission) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}
		c := p.dial()
		_, _ = io.WriteString(c, begun)
		_, _ = io.WriteString(c, headed+"\r\nx\r\n.\r\n")
		<-began
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > serving.ByeTimeout+serving.JoinTimeout {
			t.Errorf("it took %v", took)
		}
		<-c.ended
		if got := codes(c.replies()); got != "250 235 250 250 354" {
			t.Error(got)
		}
	})
}
