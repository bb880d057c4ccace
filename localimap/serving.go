package localimap

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// serving is one run of Serve: its listener and its clients.
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

// accept serves clients until the listener fails or is closed.
func (r *serving) accept() error {
	wait := time.Duration(0)
	for {
		raw, err := r.ln.Accept()
		var passing interface{ Temporary() bool } // such as no file descriptor left
		switch {
		case err == nil:
			wait = 0
			r.start(raw)
		case errors.Is(err, net.ErrClosed):
			return nil
		case !errors.As(err, &passing) || !passing.Temporary():
			return err
		default:
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(wait):
			case <-r.ctx.Done():
			}
		}
	}
}

// start serves one client, by a server of the library of its own. It may always
// log in, for newSession sees to TLS before the library says a word.
func (r *serving) start(raw net.Conn) {
	var c *conn
	c = newConn(raw, func() { r.forget(c) })
	c.foreign = r.server.foreign.add
	r.mu.Lock()
	r.conns[c] = struct{}{}
	draining := r.draining
	r.mu.Unlock()
	r.server.mu.Lock()
	r.server.conns++
	flood := r.server.conns > 2*maxConnections
	r.server.mu.Unlock()
	if draining || flood {
		c.abort()
	}
	lib := imapserver.New(&imapserver.Options{
		NewSession: func(lib *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return r.newSession(lib, c)
		},
		Caps:         capabilities(),
		Logger:       libraryLog{r.server.opt.Log},
		InsecureAuth: true,
	})
	_ = lib.Serve(&single{c: c}) // nil: it ends with the second Accept
}

// single is the listener of one connection.
type single struct{ c net.Conn }

func (s *single) Accept() (net.Conn, error) {
	c := s.c
	if c == nil {
		return nil, net.ErrClosed
	}
	s.c = nil
	return c, nil
}

func (s *single) Close() error { return nil }

func (s *single) Addr() net.Addr { return nil }

func (r *serving) forget(c *conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	r.server.mu.Lock()
	r.server.conns--
	r.server.mu.Unlock()
}

// newSession is called by the library before the greeting.
func (r *serving) newSession(lib *imapserver.Conn, c *conn) (imapserver.Session, *imapserver.GreetingData, error) {
	s, victim, refused := r.admit(lib, c)
	if victim != nil {
		victim.conn.drop("Too many connections that have not logged in")
	}
	var err error
	switch r.server.opt.Security {
	case Implicit: // before a refusal too, or it could not be read
		err = c.secure(r.server.opt.TLS)
	case StartTLS:
		if refused == nil {
			err = c.startTLS(r.server.opt.TLS)
		}
	case Off:
	}
	if err != nil {
		_ = c.Close() // the library has something to say that is not for the client
		if refused == nil {
			s.cancel()
			r.leave(s)
		}
	}
	if err = errors.Join(err, refused); err != nil {
		return nil, nil, err
	}
	return s, &imapserver.GreetingData{}, nil
}

func (r *serving) admit(lib *imapserver.Conn, c *conn) (s, victim *session, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, nil, bye(imap.ResponseCodeUnavailable, "Shutting down")
	}
	s = &session{run: r, srv: r.server, lib: lib, conn: c, log: r.server.opt.Log}
	if victim, err = r.server.admit(s); err != nil {
		return nil, nil, err
	}
	s.ctx, s.cancel = context.WithCancel(r.ctx)
	r.sessions[s] = struct{}{}
	r.open.Add(1)
	return s, victim, nil
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
