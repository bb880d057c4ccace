// Package serving accepts the clients of a server, and sees to it that they all end. It
// has the limits of how many there may be and how long they may take: where clients
// without a login are too many, the oldest of them makes room.
//
// A Server owns its sessions: Serve returns after all of them have ended.
package serving

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// How many clients there may be in all and without a login, and how long one has to say
// something before another one may take its place.
const (
	MaxConnections     = 200
	MaxUnauthenticated = 50
	SpeakWithin        = 2 * time.Second
)

// How long the end of serving waits: for goodbye to be written to all clients, and then
// for what is running to end.
const (
	ByeTimeout  = 3 * time.Second
	JoinTimeout = 5 * time.Second
)

// A Session speaks with one client over its Connection, always the same. Serve and Refuse
// are called in a goroutine of its own, one of the two and once.
type Session interface {
	comparable
	Serve()              // until the client or the server ends it
	Refuse(why *Refused) // says so
	Connection() *Conn
}

// Login is who a session is.
type Login struct{ User, Device string }

// Options are the needs of a Server.
type Options struct {
	Protocol  string // for the log, such as "IMAP"
	PerDevice int    // connections that a device may have
	Log       zerolog.Logger
	// Crowded is called when connections begin to be dropped or refused because there are
	// too many, and when that has ended; it must not block. May be nil.
	Crowded func(crowded bool)
}

// A Server has the clients of any number of listeners.
type Server[S Session] struct {
	opt   Options
	crowd crowding

	mu     sync.Mutex
	conns  int
	anon   []*client[S] // before login, the oldest first
	logins map[S]*client[S]
}

type client[S Session] struct {
	session S
	done    chan struct{} // closed at the end of the session
	who     Login
	since   time.Time // of the login
}

// New returns a Server.
func New[S Session](o Options) *Server[S] {
	return &Server[S]{opt: o, logins: make(map[S]*client[S]), crowd: crowding{protocol: o.Protocol, log: o.Log, tell: o.Crowded}}
}

// Serve accepts clients on ln until ctx ends. Then it says goodbye to all of them, waits
// until their sessions are closed, at most ByeTimeout and JoinTimeout, and returns nil.
//
// open makes the session of a connection; what runs for it ends with the context, which
// goes on after ctx until goodbye was said. closed has to be called once the connection is.
func (s *Server[S]) Serve(ctx context.Context, ln net.Listener, open func(ctx context.Context, c net.Conn, closed func()) S) error {
	r := &run[S]{server: s, ln: ln, make: open, conns: make(map[S]struct{}), clients: make(map[*client[S]]struct{})}
	r.ctx, r.abort = context.WithCancel(context.WithoutCancel(ctx))
	defer r.abort()
	defer s.crowd.end()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() }) // ends accept
	defer stop()
	err := r.accept()
	if ctx.Err() != nil {
		err = nil
	} else if err != nil {
		err = fmt.Errorf("accept %s clients: %w", s.opt.Protocol, err)
	}
	_ = ln.Close() // closed already where ctx ended
	return errors.Join(err, r.drain())
}

// Each calls f with each session that has logged in, in no order. It must not call the
// server.
func (s *Server[S]) Each(f func(session S, who Login, since time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.logins {
		f(c.session, c.who, c.since)
	}
}

// Disconnect ends the sessions of a device, with "" those of all devices of the user. It
// waits at most ByeTimeout for what they are doing.
func (s *Server[S]) Disconnect(user, device, why string) {
	s.mu.Lock()
	var gone []*client[S]
	for _, c := range s.logins {
		if c.who.User == user && (device == "" || c.who.Device == device) {
			gone = append(gone, c)
		}
	}
	s.mu.Unlock()
	end(gone, why)
}

// end says goodbye to clients, and waits at most ByeTimeout for them to take it.
func end[S Session](clients []*client[S], why string) {
	for _, c := range clients {
		c.session.Connection().Bye(why)
	}
	timeout := time.NewTimer(ByeTimeout)
	defer timeout.Stop()
	for _, c := range clients {
		select {
		case <-c.done:
		case <-timeout.C:
			timeout.Reset(0)
		}
		c.session.Connection().Abort()
	}
}

// run is one run of Serve.
type run[S Session] struct {
	server *Server[S]
	ln     net.Listener
	make   func(ctx context.Context, c net.Conn, closed func()) S
	ctx    context.Context // of the sessions; ends with abort
	abort  context.CancelFunc

	mu       sync.Mutex
	draining bool
	conns    map[S]struct{}
	clients  map[*client[S]]struct{}
	open     sync.WaitGroup // sessions, and refusals
}

// accept serves clients until the listener fails or is closed.
func (r *run[S]) accept() error {
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

// start serves one client, in a goroutine of its own. In a flood it is not even told why not.
func (r *run[S]) start(raw net.Conn) {
	s := r.server
	s.mu.Lock()
	s.conns++
	flood := s.conns > 2*MaxConnections
	if flood {
		s.conns--
	}
	s.mu.Unlock()
	if flood {
		_ = raw.Close() // nothing was sent
		return
	}
	c := &client[S]{done: make(chan struct{})}
	r.mu.Lock() // closed may be called before make returns
	c.session = r.make(r.ctx, raw, func() { r.forget(c) })
	r.conns[c.session] = struct{}{}
	r.mu.Unlock()
	r.open.Go(func() { r.serve(c) })
}

func (r *run[S]) forget(c *client[S]) {
	r.mu.Lock()
	delete(r.conns, c.session)
	r.mu.Unlock()
	r.server.mu.Lock()
	r.server.conns--
	r.server.mu.Unlock()
}

// serve speaks with a client, unless there are too many.
func (r *run[S]) serve(c *client[S]) {
	victim, refused := r.admit(c)
	if victim != nil {
		victim.session.Connection().Bye("Too many connections that have not logged in")
	}
	if refused != nil {
		c.session.Refuse(refused)
		c.session.Connection().Abort()
		return
	}
	defer func() {
		r.mu.Lock()
		delete(r.clients, c)
		r.mu.Unlock()
		r.server.Release(c.session)
		close(c.done)
	}()
	c.session.Serve()
}

func (r *run[S]) admit(c *client[S]) (victim *client[S], refused *Refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, &Refused{Text: shuttingDown}
	}
	if victim, refused = r.server.admit(c); refused == nil {
		r.clients[c] = struct{}{}
	}
	return victim, refused
}

const shuttingDown = "Server shutting down"

// drain says goodbye, closes the connections and waits for the sessions.
func (r *run[S]) drain() error {
	r.mu.Lock()
	r.draining = true
	clients := slices.Collect(maps.Keys(r.clients))
	r.mu.Unlock()
	end(clients, shuttingDown)

	r.abort()
	r.mu.Lock()
	left := slices.Collect(maps.Keys(r.conns))
	r.mu.Unlock()
	for _, session := range left {
		session.Connection().Abort()
	}
	done := make(chan struct{})
	go func() {
		r.open.Wait()
		close(done)
	}()
	timer := time.NewTimer(JoinTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s sessions did not end in time", r.server.opt.Protocol)
	}
}
