package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Security says how connections are protected.
type Security uint8

// The kinds of protection. Off is for loopback only; the configuration sees to
// that.
const (
	StartTLS Security = iota // plain, no login before STARTTLS
	Implicit                 // TLS from the first byte
	Off                      // plain
)

// TLSHandshake is the first octet of a ClientHello (RFC 8446 section 5.1).
const TLSHandshake = 22

// How long a client may take.
const (
	// SilentTimeout is the time from accept to the first line, or to the end of
	// the TLS handshake where that comes first; LoginTimeout is that to login, in
	// which a person may have to type a password.
	SilentTimeout    = 30 * time.Second
	LoginTimeout     = 3 * time.Minute
	HandshakeTimeout = 30 * time.Second
	loginDelay       = time.Second // after a wrong password, always the same time
	// FlushTimeout bounds a write: a client that stops reading is disconnected
	// instead of being waited for. CloseTimeout bounds that of the last words.
	FlushTimeout = 30 * time.Second
	CloseTimeout = 2 * time.Second
)

// Why a read ends; see also Conn.Bye.
var (
	ErrClientGone = errors.New("the client has disconnected")
	ErrTimeout    = errors.New("nothing was heard for too long")
)

// Conn is the connection to a client, of one goroutine, but for Bye, Abort and what is
// atomic. What is written may be gathered by whoever has it.
type Conn struct {
	net.Conn          // the network
	Stream   net.Conn // Conn, or TLS over it
	Context  context.Context
	Cancel   context.CancelCauseFunc
	Quiet    func() time.Duration // how long the client may say nothing; UntilLogin unless set
	Heard    atomic.Bool          // the client has sent a line, or ended a TLS handshake
	Checking atomic.Bool          // its password is being checked

	began     time.Time
	byeText   atomic.Pointer[string] // set once, by whoever ends the connection
	closeOnce sync.Once
	closed    func()
}

// NewConn returns a Conn whose reads end with ctx. It calls closed once, after the
// connection was closed.
func NewConn(ctx context.Context, c net.Conn, closed func()) *Conn {
	n := &Conn{Conn: c, Stream: c, closed: closed, began: time.Now()}
	n.Quiet = n.UntilLogin
	n.Context, n.Cancel = context.WithCancelCause(ctx)
	context.AfterFunc(n.Context, func() { _ = n.SetReadDeadline(time.Unix(1, 0)) }) // an error shows at the read
	return n
}

// UntilLogin is how long a client may say nothing that has not logged in.
func (c *Conn) UntilLogin() time.Duration {
	if c.Heard.Load() {
		return time.Until(c.began.Add(LoginTimeout))
	}
	return time.Until(c.began.Add(SilentTimeout))
}

// Receive reads what the client sends. Each read has a deadline of its own: a slow client
// is served, one that has stopped is not waited for.
func (c *Conn) Receive(p []byte) (n int, err error) {
	_ = c.SetReadDeadline(time.Now().Add(c.Quiet())) // an error shows at the read
	if c.Context.Err() == nil {                      // otherwise its end may have been before
		n, err = c.Stream.Read(p)
	}
	switch {
	case n > 0:
		return n, nil
	case c.Context.Err() != nil:
		return 0, context.Cause(c.Context)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, ErrTimeout
	}
	return 0, err
}

// Send writes within d. An error ends the connection.
func (c *Conn) Send(p []byte, d time.Duration) error {
	_ = c.SetWriteDeadline(time.Now().Add(d)) // an error shows at the write
	if c.Context.Err() != nil {               // and Bye may have set its own before
		_ = c.SetWriteDeadline(time.Now().Add(CloseTimeout))
	}
	_, err := c.Stream.Write(p)
	if err != nil {
		c.Cancel(ErrClientGone)
	}
	return err
}

// Bye makes the session say goodbye and end, after what it is doing now; what is being
// written has CloseTimeout left. It does not wait.
func (c *Conn) Bye(why string) {
	c.byeText.CompareAndSwap(nil, &why)
	c.Cancel(context.Canceled)
	_ = c.SetWriteDeadline(time.Now().Add(CloseTimeout)) // an error shows at the write
}

// ByeText is what Bye was called with first, or "".
func (c *Conn) ByeText() string {
	if why := c.byeText.Load(); why != nil {
		return *why
	}
	return ""
}

// Shut flushes the last words and closes the network. Abort has to follow.
func (c *Conn) Shut(flush func() error) {
	c.Cancel(context.Canceled)
	closing := c.Conn
	if flush() == nil {
		closing = c.Stream // TLS says that nothing is missing
	}
	_ = closing.Close() // nothing is left to be sent
}

// Abort closes without sending what is gathered.
func (c *Conn) Abort() {
	c.Cancel(context.Canceled)
	_ = c.Conn.Close() // nothing to be done about a connection that is given up
	c.closeOnce.Do(c.closed)
}

// Secure flushes and puts TLS over the network. Nothing may have been received, for it
// came in the clear from whomever, and no other goroutine may be reading.
func (c *Conn) Secure(config *tls.Config, flush func() error) error {
	if err := flush(); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Time{}) // of the former read; an error shows in the handshake
	stream := tls.Server(c.Conn, config)
	ctx, cancel := context.WithTimeout(c.Context, HandshakeTimeout)
	defer cancel()
	if err := stream.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.Stream = stream
	c.Heard.Store(true)
	return nil
}
