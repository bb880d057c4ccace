package localimap

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeBuffer is how much of a response is gathered before it goes to the
	// network while the server is busy with a command.
	writeBuffer = 64 << 10
	smallBuffer = 4 << 10 // what is kept while waiting for the client
	// flushTimeout bounds the writing of at most writeBuffer: a client that
	// stops reading is disconnected instead of being waited for.
	flushTimeout = 30 * time.Second
	// closeTimeout bounds the last flush, which carries the BYE.
	closeTimeout = 2 * time.Second
	// dropTimeout bounds that of a connection that has to make room for another.
	dropTimeout = time.Second
	// lockTimeout is how long a connection that is closed waits for a write:
	// longer than one takes that the client lets through.
	lockTimeout = 100 * time.Millisecond
	// probeAfter is how long a client has to be silent before the system looks
	// whether it is there.
	probeAfter = 5 * time.Minute
)

// conn is a connection between the network and the library.
//
// It coalesces writes. The library flushes after every response line; here
// lines are gathered and go out when the server waits for the client, when
// writeBuffer is full, or at once while a read is already pending (IDLE), for
// then nothing else would flush them.
//
// It hands on what the client sends by lines and literals (framing.go), and
// says BYE to a client that is too slow.
//
// Reads have one caller at a time and so have writes (the library's encoder
// lock); a read and a write may overlap, and Close and SetDeadline may be
// called at any time.
type conn struct {
	net.Conn        // the network
	closed   func() // called once, after the connection was closed
	began    time.Time
	foreign  func(c *conn, what, hint string) // a client that speaks something else

	mu       sync.Mutex    // guards the fields below and writing to stream
	stream   net.Conn      // Conn, or TLS over it
	patience time.Duration // for a piece to be written
	buf      []byte
	reading  bool
	corked   bool
	shaking  bool // a TLS handshake is under way
	mute     bool // the next line is not sent
	frames   framing
	said     word  // to the literal that frames waits for
	err      error // the first write error; a stream with a hole is of no use

	// Of the goroutine that reads.
	loginBy time.Time // zero after login

	heard     atomic.Bool // the client has sent a line, or ended a TLS handshake
	broken    atomic.Bool // nothing reaches the client any more
	closeOnce sync.Once
}

func newConn(c net.Conn, closed func()) *conn {
	now := time.Now()
	by := now.Add(silentTimeout)
	_ = c.SetReadDeadline(by) // an error shows at the first read
	if k, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		// Each probe wakes a telephone up; Go would send one every 15 seconds.
		_ = k.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: time.Minute, Count: 3})
	}
	return &conn{
		Conn: c, stream: c, closed: closed, began: now, foreign: func(*conn, string, string) {}, loginBy: by,
		patience: flushTimeout, frames: framing{anon: true, amends: &amends{anon: true, first: true}},
	}
}

// Read returns a line, or a piece of a line or of a literal. Before it waits
// for the client, what was written is sent.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frames.settle(c.said) {
		return 0, c.endLocked("Literal not expected")
	}
	c.said = silence
	for {
		n := c.frames.read(p)
		c.buf = append(c.buf, c.frames.amends.answers()...)
		if err := c.strangeLocked(); err != nil {
			return 0, err
		}
		if n > 0 {
			return n, nil
		}
		if c.frames.tooLong {
			return 0, c.endLocked("Command or literal is too long")
		}
		var err error
		n, err = c.receiveLocked(p[:c.frames.room(len(p))])
		if n > 0 && c.frames.direct(n) {
			return n, nil
		} else if n > 0 {
			c.frames.add(p[:n])
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, c.endLocked("Autologout, nothing was heard for too long")
		} else if err != nil {
			return 0, err
		}
	}
}

// strangeLocked ends the connection of a client that has not logged in and
// speaks something else than IMAP: a web page makes a browser send what it likes,
// once it has sent the lines of HTTP. The first line that is IMAP gives the client
// more time.
func (c *conn) strangeLocked() error {
	a := c.frames.amends
	switch {
	case !a.anon:
	case a.strange:
		c.foreign(c, "a client that does not speak IMAP was disconnected", "it is a web browser or another program that has the wrong port")
		return c.endLocked("This is an IMAP server")
	case c.stream == c.Conn && len(c.frames.in) > 0 && c.frames.in[0] == tlsHandshake:
		c.foreign(c, "a client began TLS at once, where the IMAP server does not expect it",
			"set the client to STARTTLS, or to no encryption where [imap] tls is \"off\"; or set [imap] tls = \"implicit\"")
		return c.endLocked("TLS was not expected yet")
	case a.tag != "":
		c.hearLocked()
	}
	return nil
}

// tlsHandshake is the first octet of a ClientHello (RFC 8446 section 5.1).
const tlsHandshake = 22

// hearLocked gives a client that is not silent the time for a login.
func (c *conn) hearLocked() {
	if c.heard.CompareAndSwap(false, true) {
		c.loginBy = c.began.Add(loginTimeout)
		_ = c.Conn.SetReadDeadline(c.loginBy) // an error shows at the read
	}
}

// receiveLocked sends what was written and waits for the client, without the
// lock.
func (c *conn) receiveLocked(p []byte) (int, error) {
	if err := c.flushLocked(); err != nil {
		return 0, err
	}
	if cap(c.buf) > smallBuffer {
		c.buf = nil // an idle connection holds no memory
	}
	c.reading = true
	stream := c.stream
	c.mu.Unlock()
	n, err := stream.Read(p)
	c.mu.Lock()
	c.reading = false
	return n, err
}

// endLocked says goodbye. Nothing is read or written after.
func (c *conn) endLocked(why string) error {
	c.buf = append(c.buf, "* BYE "+why+"\r\n"...)
	if c.flushLocked() == nil {
		c.err = io.EOF
	}
	return c.err
}

// Write gathers p, or writes it together with what was gathered before.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.hiddenLocked(p) {
		return len(p), nil
	}
	n := len(p)
	p = c.frames.amends.response(c.frames.offer.response(p), c.frames.waiting)
	if len(c.buf)+len(p) > writeBuffer {
		if err := c.flushLocked(); err != nil {
			return 0, err
		}
	}
	if len(p) >= writeBuffer {
		return c.writeLocked(p)
	}
	c.buf = append(c.buf, p...)
	if c.reading && !c.corked {
		if err := c.flushLocked(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// command returns the name of the command that the library is at.
func (c *conn) command() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames.amends.command
}

// opensReadOnly is called by a SELECT.
func (c *conn) opensReadOnly(yes bool) {
	c.mu.Lock()
	c.frames.amends.readOnly = yes
	c.mu.Unlock()
}

// hiddenLocked notes what the library says to a literal, and reports whether it
// is not for the client. The library writes short lines in one piece.
func (c *conn) hiddenLocked(p []byte) bool {
	if c.mute {
		c.mute = false
		return true
	}
	if c.said != silence || !c.frames.waiting && !c.frames.inside {
		return false
	}
	if c.said = refusal; c.frames.waiting && bytes.HasPrefix(p, []byte("+ ")) {
		c.said = goAhead
	}
	return c.said == goAhead && c.frames.nonSync
}

// cork holds back the lines of one burst although a read is pending; uncork
// sends them.
func (c *conn) cork() {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
}

func (c *conn) uncork() {
	c.mu.Lock()
	c.corked = false
	if c.reading {
		_ = c.flushLocked() // kept in c.err; the reader learns of it
	}
	c.mu.Unlock()
}

func (c *conn) flushLocked() error {
	if len(c.buf) == 0 || c.err != nil {
		return c.err
	}
	_, err := c.writeLocked(c.buf)
	c.buf = c.buf[:0]
	return err
}

// writeLocked gives the client time for each piece: one that reads slowly gets
// all of a long message, one that has stopped is not waited for. The library's
// deadlines, for a message as a whole, would be the wrong ones for both.
func (c *conn) writeLocked(p []byte) (int, error) {
	written := 0
	for piece := range slices.Chunk(p, writeBuffer) {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.patience)) // an error shows at the write
		n, err := c.stream.Write(piece)
		if written += n; err != nil {
			c.err = err
			c.broken.Store(true)
			return written, err
		}
	}
	return written, nil
}

// SetWriteDeadline does nothing, see writeLocked.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline sets it for a client that is logged in. Before, the time for
// all it takes to log in counts, however slowly the octets come.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.loginBy.IsZero() {
		t = c.loginBy
	}
	return c.Conn.SetReadDeadline(t)
}

// loggedIn is called by the goroutine that reads.
func (c *conn) loggedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loginBy = time.Time{}
	c.frames.anon, c.frames.amends.anon = false, false
}

// offer says what is announced and enabled from here on.
func (c *conn) offer(o offer) {
	c.mu.Lock()
	c.frames.offer = o
	c.mu.Unlock()
}

// SetDeadline sets the one deadline there is to set.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// lockUnlessBlocked locks, unless a write is waiting for the client.
func (c *conn) lockUnlessBlocked() bool {
	for end := time.Now().Add(lockTimeout); !c.mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Close sends what is gathered, so that a BYE arrives, and closes. It does not
// wait for a write that is blocked.
func (c *conn) Close() error {
	closing := c.Conn
	if c.lockUnlessBlocked() {
		c.patience = closeTimeout
		if c.flushLocked() == nil {
			closing = c.stream // TLS says that nothing is missing
		}
		c.mu.Unlock()
	}
	err := closing.Close()
	c.closeOnce.Do(c.closed)
	return err
}

// drop closes the connection to make room for another, and does not wait for a
// client that does not read.
func (c *conn) drop(why string) {
	if c.lockUnlessBlocked() {
		if !c.shaking && c.err == nil {
			c.patience = dropTimeout
			_ = c.endLocked(why) // it is closed next
		}
		c.mu.Unlock()
	}
	c.abort()
}

// abort closes without sending what is gathered.
func (c *conn) abort() {
	c.broken.Store(true)
	_ = c.Conn.Close() // nothing to be done about a connection that is given up
	c.closeOnce.Do(c.closed)
}

// alive sends what is gathered and reports whether the client is still there,
// for commands that take long, while nothing is read otherwise. What the client
// has pipelined is kept for the next Read. One that has sent more than maxAhead is
// given up: behind all that it does not show whether it is there.
func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flushLocked() != nil {
		return false
	}
	if c.reading {
		return true
	}
	// The library sets the next read deadline itself before it reads.
	_ = c.Conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // an error shows at the read
	var b [4096]byte
	for len(c.frames.in) < maxAhead {
		n, err := c.stream.Read(b[:])
		if c.frames.add(b[:n]); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return false
}
