package scripted

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server plays a script, one connection after the other.
type Server struct {
	t        testing.TB
	tls      *tls.Config
	split    int
	latency  time.Duration
	lenient  bool
	listener net.Listener // nil: in memory only

	wg sync.WaitGroup

	mu       sync.Mutex
	scripts  [][]step // of the connections to come
	conns    map[net.Conn]struct{}
	released map[string]chan struct{}
	closed   bool
}

// Option changes a Server.
type Option func(*Server)

// WithTLS gives @tls its certificate.
func WithTLS(cfg *tls.Config) Option { return func(s *Server) { s.tls = cfg } }

// WithSplit starts every connection with @split n.
func WithSplit(n int) Option { return func(s *Server) { s.split = n } }

// WithLatency delays each packet of connections made by Dial.
func WithLatency(d time.Duration) Option { return func(s *Server) { s.latency = d } }

// Lenient lets the client leave before the script ends.
func Lenient() Option { return func(s *Server) { s.lenient = true } }

// New makes a server that is reached by Dial only. At the end of the test it
// is closed, and what the client did otherwise than the script is an error.
func New(t testing.TB, script string, opts ...Option) *Server {
	t.Helper()
	scripts, err := parse(script)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, scripts: scripts, conns: make(map[net.Conn]struct{}), released: make(map[string]chan struct{})}
	for _, opt := range opts {
		opt(s)
	}
	t.Cleanup(s.Close)
	return s
}

// Listen is New with a TCP port on 127.0.0.1.
func Listen(t testing.TB, script string, opts ...Option) *Server {
	t.Helper()
	s := New(t, script, opts...)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = ln
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.start(conn)
		}
	})
	return s
}

// Port is the port of a server made by Listen; its host is 127.0.0.1.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Dial connects in memory, whatever the address; it fits a Config.Dialer.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	client, server := Pipe(s.latency)
	s.start(server)
	return client, nil
}

// Release lets the script go on at @wait name; it may come before that.
func (s *Server) Release(name string) { close(s.release(name)) }

func (s *Server) release(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released[name] == nil {
		s.released[name] = make(chan struct{})
	}
	return s.released[name]
}

// Close ends all connections and waits for them. It is called at the end of
// the test.
func (s *Server) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.mu.Lock()
	s.closed = true
	if n := len(s.scripts); n > 0 && !s.lenient {
		s.t.Errorf("scripted: %d scripted connections were not made", n)
		s.scripts = nil
	}
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for conn := range conns {
		_ = conn.Close()
	}
	s.wg.Wait()
}

func (s *Server) start(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.scripts) == 0 {
		if !s.closed {
			s.t.Error("scripted: one connection more than the script has")
		}
		_ = conn.Close()
		return
	}
	script := s.scripts[0]
	s.scripts = s.scripts[1:]
	s.conns[conn] = struct{}{}
	s.wg.Go(func() {
		defer conn.Close()
		p := &player{s: s, raw: conn, conn: conn, r: bufio.NewReader(conn), split: s.split}
		if err := p.play(script); err != nil && !s.lenient {
			s.t.Errorf("scripted: %v", err)
		}
	})
}

// player plays the script of one connection.
type player struct {
	s     *Server
	raw   net.Conn
	conn  net.Conn
	r     *bufio.Reader
	out   []byte // not sent yet
	split int
	ended bool
}

func (p *player) play(script []step) error {
	for _, st := range script {
		if err := p.step(st); err != nil {
			return fmt.Errorf("script line %d: %w", st.line, err)
		}
		if p.ended {
			return nil
		}
	}
	if err := p.flush(); err != nil {
		return nil // the client may go before it has read the last answer
	}
	rest, _ := io.ReadAll(p.r)
	if len(rest) > 0 {
		return fmt.Errorf("after the script the client sent %q", rest)
	}
	return nil
}

func (p *player) step(st step) error {
	if st.op == "send" {
		p.out = append(p.out, st.data...)
		return nil
	}
	if st.op == "@split" {
		n, err := strconv.Atoi(st.data)
		if err != nil {
			return err
		}
		if err := p.flush(); err != nil {
			return err
		}
		p.split = n
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	switch st.op {
	case "expect":
		return p.expect(st)
	case "content":
		return p.content()
	case "@tls":
		conn := tls.Server(p.raw, p.s.tls)
		if err := conn.Handshake(); err != nil {
			return err
		}
		p.conn = conn
		p.r = bufio.NewReader(conn)
	case "@wait":
		<-p.s.release(st.data)
	case "@pause":
		d, err := time.ParseDuration(st.data)
		if err != nil {
			return err
		}
		time.Sleep(d)
	case "@stall":
		p.ended = true
		_, _ = io.Copy(io.Discard, p.r)
	case "@close":
		p.ended = true
	case "@cut":
		p.ended = true
		switch conn := p.raw.(type) {
		case *net.TCPConn:
			_ = conn.SetLinger(0) // the peer gets a reset
		case *pipeConn:
			conn.reset()
		}
	}
	return nil
}

func (p *player) expect(st step) error {
	line, err := p.r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("want C: %s, the client sent %q and then: %w", st.data, line, err)
	}
	got, ok := strings.CutSuffix(line, "\r\n")
	switch {
	case !ok:
		return fmt.Errorf("the client ended a line without CR: %q", line)
	case st.expect == nil && got != st.data, st.expect != nil && !st.expect.MatchString(got):
		return fmt.Errorf("want C: %s, the client sent %q", st.data, got)
	}
	return nil
}

func (p *player) content() error {
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("want the end of a message, the client sent %q and then: %w", line, err)
		}
		if line == ".\r\n" {
			return nil
		}
	}
}

func (p *player) flush() error {
	for len(p.out) > 0 {
		n := len(p.out)
		if p.split > 0 {
			n = min(n, p.split)
		}
		if _, err := p.conn.Write(p.out[:n]); err != nil {
			return err
		}
		p.out = p.out[n:]
	}
	return nil
}
