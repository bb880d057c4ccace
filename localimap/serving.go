package localimap

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// serving is one run of Serve: its listener and its clients. It is the
// net.Listener that the library accepts from.
type serving struct {
	server *Server
	ln     net.Listener
	ctx    context.Context // of the commands; ends with abort
	abort  context.CancelFunc

	mu       sync.Mutex
	draining bool
	conns    map[*conn]struct{}
	sessions map[*session]struct{}
	open     sync.WaitGroup // sessions
}

// Accept returns the next connection, for implicit TLS as a *tls.Conn: by that
// type the library knows that a login is allowed.
func (r *serving) Accept() (net.Conn, error) {
	raw, err := r.ln.Accept()
	if err != nil {
		return nil, err
	}
	var c *conn
	c = newConn(raw, func() { r.forget(c) })
	r.mu.Lock()
	r.conns[c] = struct{}{}
	draining := r.draining
	r.mu.Unlock()
	r.server.mu.Lock()
	r.server.conns++
	r.server.mu.Unlock()
	if draining {
		c.abort()
	}
	if r.server.opt.Security == Implicit {
		return tls.Server(c, r.server.opt.TLS), nil
	}
	return c, nil
}

// Close stops accepting.
func (r *serving) Close() error { return r.ln.Close() }

// Addr returns the address of the listener.
func (r *serving) Addr() net.Addr { return r.ln.Addr() }

func (r *serving) forget(c *conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	r.server.mu.Lock()
	r.server.conns--
	r.server.mu.Unlock()
}

// newSession is called by the library before the greeting.
func (r *serving) newSession(lib *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	c, ok := lib.NetConn().(*conn)
	if t, isTLS := lib.NetConn().(*tls.Conn); isTLS {
		c, ok = t.NetConn().(*conn)
	}
	if !ok {
		return nil, nil, errors.New("connection of a foreign listener")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, nil, bye(imap.ResponseCodeUnavailable, "Shutting down")
	}
	if !r.server.admit() {
		return nil, nil, bye(imap.ResponseCodeLimit, "Too many connections")
	}
	s := &session{run: r, srv: r.server, lib: lib, conn: c, log: r.server.opt.Log}
	s.ctx, s.cancel = context.WithCancel(r.ctx)
	r.sessions[s] = struct{}{}
	r.open.Add(1)
	return s, &imapserver.GreetingData{}, nil
}

// leave is the end of a session.
func (r *serving) leave(s *session) {
	r.mu.Lock()
	delete(r.sessions, s)
	r.mu.Unlock()
	r.server.release(s)
	r.open.Done()
}

// drain says BYE, closes the connections and waits for the sessions.
func (r *serving) drain() error {
	r.mu.Lock()
	r.draining = true
	var byes sync.WaitGroup
	for s := range r.sessions {
		byes.Go(func() {
			// Waits for the response being written; the connection may be gone.
			_ = s.lib.Bye("Server shutting down")
			s.cancel()
		})
	}
	r.mu.Unlock()
	within(byeTimeout, byes.Wait)

	r.abort()
	r.mu.Lock()
	left := make([]*conn, 0, len(r.conns))
	for c := range r.conns {
		left = append(left, c)
	}
	r.mu.Unlock()
	for _, c := range left {
		c.abort()
	}
	if !within(joinTimeout, func() { r.open.Wait(); byes.Wait() }) {
		return errors.New("IMAP sessions did not end in time")
	}
	return nil
}

// within runs wait and reports whether it returned in time.
func within(d time.Duration, wait func()) bool {
	done := make(chan struct{})
	go func() {
		wait()
		close(done)
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// admit counts a new session before login, or refuses it.
func (s *Server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns > maxConnections || s.anon >= maxUnauthenticated {
		return false
	}
	s.anon++
	return true
}

// enter moves a session from those before login to those of the user.
func (s *Server) enter(c *session, who login) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.logins {
		if l.user == who.user {
			n++
		}
	}
	if n >= maxPerUser {
		return false
	}
	s.anon--
	s.logins[c] = who
	return true
}

// release takes a session out of the counts.
func (s *Server) release(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, in := s.logins[c]; !in {
		s.anon--
	}
	delete(s.logins, c)
}
