package submission

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// serving is one run of Serve: its listener and its clients.
type serving struct {
	server *Server
	ln     net.Listener
	ctx    context.Context // of submitting; ends with abort
	abort  context.CancelFunc

	mu       sync.Mutex
	draining bool
	conns    map[*conn]struct{}
	sessions map[*session]struct{}
	open     sync.WaitGroup // sessions, and refusals
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

// start serves one client, in a goroutine of its own.
func (r *serving) start(raw net.Conn) {
	var c *conn
	c = newConn(r.ctx, raw, func() { r.forget(c) })
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
		return
	}
	r.open.Go(func() { r.serve(c) })
}

func (r *serving) forget(c *conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	r.server.mu.Lock()
	r.server.conns--
	r.server.mu.Unlock()
}

// serve speaks with a client, unless there are too many.
func (r *serving) serve(c *conn) {
	s := newSession(r, c)
	victim, refused := r.admit(s)
	if victim != nil {
		victim.conn.bye("Too many connections that have not logged in")
	}
	if refused == "" {
		s.serve()
		return
	}
	if r.server.opt.Security != Implicit || s.secure() == nil { // or it could not be read
		c.finish(reply{code: 421, enhanced: "4.3.2", text: refused})
	}
	c.abort()
}

func (r *serving) admit(s *session) (victim *session, refused string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, "Server shutting down"
	}
	if victim, refused = r.server.admit(s); refused == "" {
		r.sessions[s] = struct{}{}
	}
	return victim, refused
}

// leave is the end of a session.
func (r *serving) leave(s *session) {
	r.mu.Lock()
	delete(r.sessions, s)
	r.mu.Unlock()
	r.server.release(s)
}

// drain says goodbye, closes the connections and waits for the sessions.
func (r *serving) drain() error {
	r.mu.Lock()
	r.draining = true
	sessions := slices.Collect(maps.Keys(r.sessions))
	r.mu.Unlock()
	end(sessions, "Server shutting down")

	r.abort()
	r.mu.Lock()
	left := slices.Collect(maps.Keys(r.conns))
	r.mu.Unlock()
	for _, c := range left {
		c.abort()
	}
	done := make(chan struct{})
	go func() {
		r.open.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(joinTimeout):
		return errors.New("SMTP sessions did not end in time")
	}
}

// end says goodbye to sessions, and waits at most byeTimeout for them to take it.
func end(sessions []*session, why string) {
	for _, c := range sessions {
		c.conn.bye(why)
	}
	timeout := time.NewTimer(byeTimeout)
	defer timeout.Stop()
	for _, c := range sessions {
		select {
		case <-c.done:
		case <-timeout.C:
			timeout.Reset(0)
		}
		c.conn.abort()
	}
}
