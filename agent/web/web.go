// Package web serves the web page of an agent: on loopback only, to a browser that holds
// a session.
//
// A session begins with a ticket, which `popbridge open` gets through the control socket
// and which is good once, for a minute. It is exchanged for two halves, a cookie and a
// key: browsers send the cookie of 127.0.0.1 to every port of it (RFC 6265 section 8.5),
// so it proves nothing alone; the key is kept by the page, which sends a proof of it in a
// header. The proof is good for the process of the agent that has given the page its
// number, and for no later one: another program that has the port while there is no agent
// is sent such proofs by the pages that are open. Where the kernel tells whose connection
// it is, a session is also of the user who began it.
//
// Every request passes guards, in this order, before anything answers it: the name of the
// host, the site that sent it, the session, the type and size of its body. The shell, of
// which all is public, needs only the first.
//
// The page answers no operation by itself: its routes are those of package api.
package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"

	"github.com/popbridge/popbridge/agent/api"
	"github.com/popbridge/popbridge/agent/operations"
)

const (
	readTimeout    = 10 * time.Second // for a whole request
	idleTimeout    = 10 * time.Second // for the next request of a connection
	writeTimeout   = 10 * time.Second // for an answer, or one line of a stream
	drainTimeout   = 5 * time.Second  // for what is being answered at the end
	maxHeader      = 16 << 10         // bytes
	maxConnections = 128
	maxStreams     = 16 // pages that are open at a time and get news
)

// SessionsFile is the name of the file that keeps the sessions, in the data folder.
const SessionsFile = "web.json"

// Options are what a Page takes from its agent.
type Options struct {
	Operations operations.Operations
	Page       operations.Page
	DataDir    string         // where the sessions are kept
	Log        zerolog.Logger // one line for each change that was asked for
	// Reused is told that a ticket came a second time: somebody else has seen it.
	Reused func()
	Now    func() time.Time // of tests; nil: time.Now
}

// A Page is the web page of one agent. It is safe for use by several goroutines.
type Page struct {
	ops      operations.Operations
	page     operations.Page
	log      zerolog.Logger
	now      func() time.Time
	cookie   string // the name of it
	sessions *sessions
	handler  http.Handler
	streams  chan struct{} // a place for each
	answers  sync.WaitGroup
}

// New makes the page, with the sessions that its data folder knows. The error is about
// those: they are none then, and the page works.
func New(o Options) (*Page, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Reused == nil {
		o.Reused = func() {}
	}
	sum := sha256.Sum256([]byte(o.DataDir))
	p := &Page{ops: o.Operations, page: o.Page, log: o.Log, now: o.Now, cookie: "popbridge_" + hex.EncodeToString(sum[:4]), streams: make(chan struct{}, maxStreams)}
	var err error
	p.sessions, err = openSessions(filepath.Join(o.DataDir, SessionsFile), o.Now, o.Reused)
	p.handler = p.routes()
	return p, err
}

// Serve answers requests on ln until ctx ends. It closes ln.
func (p *Page) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           p.handler,
		ConnContext:       withPeer,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // of what other programs send to this port
		Protocols:      new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true)
	return api.Serve(ctx, netutil.LimitListener(ln, maxConnections), srv, &p.answers, drainTimeout)
}

// peerKey is that of a func() string in the context of a connection.
type peerKey struct{}

// withPeer has the user of a connection looked up when a request needs it, once.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, sync.OnceValue(func() string { return peerUID(c) }))
}

// peer is the user whose program asks, "" where that is not known.
func peer(r *http.Request) string {
	if ask, ok := r.Context().Value(peerKey{}).(func() string); ok {
		return ask()
	}
	return ""
}

// Ticket returns a new ticket for the browser of a user of this machine; uid is "" where
// users have no numbers. It is good once, for a minute.
func (p *Page) Ticket(uid string) string { return p.sessions.ticket(uid) }

// Sessions lists the browsers that are signed in.
func (p *Page) Sessions() []operations.WebSession { return p.sessions.list() }

// End signs a browser out, all of them for "". It reports how many there were; an error
// says that they are signed in again after a restart.
func (p *Page) End(id string) (int, error) { return p.sessions.end(id) }
