// Package localimap serves the mail of the store over IMAP4rev1 and IMAP4rev2,
// to clients on this machine.
//
// A conn is a connection, a session speaks with its client: it reads a command
// (internal/imapwire), finds it in the table of commands.go and runs it, in one
// goroutine; command_*.go have one command or a few that belong together. What is
// announced is in capability.go. Three things are worth knowing:
//
//   - view.go: what a client has been told is kept as one list per session and
//     compared with the newest published snapshot of the mailbox. There is no
//     queue of updates, so nothing can overflow, and sequence numbers are
//     resolved against the list the client has, never against another.
//   - conn.go: writes are gathered until the session waits for the client, and
//     what a client may take in time and memory is bounded.
//   - section.go: bodies are streamed from the message file by the offsets of
//     the stored summary.
//
// A Server owns its sessions: Serve returns after all of them have ended, and then
// nothing here uses a store any more. No lock of the store and no query is held
// while something is written to a client.
package localimap

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
)

// Account is who has logged in. The store must stay open until Serve has returned.
type Account struct {
	User   string // whatever name was sent
	Store  *mailstore.Store
	Device mailstore.Device
}

// Options are the needs of a Server.
type Options struct {
	// Login says who has this name and password, or returns a fault.Auth, whose
	// text the client sees. It is called again for each login that was right. from
	// is the address of the client.
	Login    func(ctx context.Context, from net.Addr, name, password string) (Account, error)
	TLS      *tls.Config // for StartTLS and Implicit
	Security serving.Security
	Log      zerolog.Logger
	// Opened is called when a client selects a mailbox, and when it asks twice
	// within askTwice whether there is news; it must not block. May
	// be nil.
	Opened func(user, mailbox string)
	// Crowded is called when connections begin to be dropped or refused because
	// there are too many, and when that has ended; it must not block. May be nil.
	Crowded func(crowded bool)
	// Zone returns the time zone of INTERNALDATE and of searches by day. May be
	// nil: that of the machine.
	Zone func() *time.Location
	// Alert returns what the person at a device has to know now, in one line, or
	// "". It is called at each login. May be nil.
	Alert func(user, device string) string
}

// Server serves IMAP on any number of listeners.
type Server struct {
	opt     Options
	foreign serving.Rare
	clients *serving.Server[*session]
}

// New returns a Server.
func New(o Options) *Server {
	if o.Opened == nil {
		o.Opened = func(string, string) {}
	}
	if o.Zone == nil {
		o.Zone = func() *time.Location { return time.Local }
	}
	if o.Alert == nil {
		o.Alert = func(string, string) string { return "" }
	}
	return &Server{opt: o, clients: serving.New[*session](serving.Options{Protocol: "IMAP", PerDevice: maxPerDevice, Log: o.Log, Crowded: o.Crowded})}
}

// Clients returns how many clients are logged in.
func (s *Server) Clients() (n int) {
	s.clients.Each(func(*session, serving.Login, time.Time) { n++ })
	return n
}

// Programs returns what the clients that are logged in call themselves (RFC 2971),
// sorted.
func (s *Server) Programs() (names []string) {
	s.clients.Each(func(c *session, _ serving.Login, _ time.Time) { names = append(names, c.named()) })
	return distinct(names)
}

// Connected returns how many connections a device has, since when it has the
// oldest of them, and what the programs call themselves (RFC 2971), sorted.
func (s *Server) Connected(user, device string) (n int, since time.Time, programs []string) {
	s.clients.Each(func(c *session, who serving.Login, at time.Time) {
		if who != (serving.Login{User: user, Device: device}) {
			return
		}
		if n++; n == 1 || at.Before(since) {
			since = at
		}
		programs = append(programs, c.named())
	})
	return n, since, distinct(programs)
}

// A Session is a connection that has logged in.
type Session struct {
	User, Device string
	From         net.Addr // of the client
	Since        time.Time
	Program      string // as it calls itself (RFC 2971); may be empty
}

// Sessions returns the connections that have logged in, in no order.
func (s *Server) Sessions() []Session {
	list := []Session{}
	s.clients.Each(func(c *session, who serving.Login, since time.Time) {
		list = append(list, Session{User: who.User, Device: who.Device, From: c.conn.RemoteAddr(), Since: since, Program: c.named()})
	})
	return list
}

// distinct returns names sorted, each once, without the empty one.
func distinct(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

// Disconnect ends the sessions of a device that was revoked or changed, with ""
// those of all devices of the user. It waits for a response that is being written, at
// most serving.ByeTimeout.
func (s *Server) Disconnect(user, device string) {
	s.clients.Disconnect(user, device, "This device has been revoked or changed")
}

// Serve accepts clients on ln until ctx ends. Then it says BYE to all of them,
// waits until their sessions are closed, at most serving.JoinTimeout longer than the
// slowest BYE, and returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.clients.Serve(ctx, ln, func(ctx context.Context, c net.Conn, closed func()) *session {
		return newSession(s, newConn(ctx, c, closed))
	})
}
