package submission

import (
	"bufio"
	"bytes"
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

var (
	errClientGone = errors.New("the client has disconnected")
	errTimeout    = errors.New("nothing was heard for too long")
	errTooLong    = errors.New("the line is too long")
	errBareLF     = errors.New("the line does not end with CR LF")
)

// conn is a connection to a client. What is written is gathered and goes out when the
// session waits for the client, so that commands which came together are answered
// together (RFC 2920).
type conn struct {
	net.Conn          // the network
	stream   net.Conn // Conn, or TLS over it
	in       *bufio.Reader
	out      []byte
	ctx      context.Context
	cancel   context.CancelCauseFunc
	began    time.Time
	quiet    func() time.Duration   // how long the client may say nothing
	heard    atomic.Bool            // the client has sent a line, or ended a TLS handshake
	byeText  atomic.Pointer[string] // set once, by whoever ends the connection

	closeOnce sync.Once
	closed    func() // called once, after the connection was closed
}

func newConn(ctx context.Context, c net.Conn, closed func()) *conn {
	n := &conn{Conn: c, stream: c, closed: closed, began: time.Now()}
	n.in = bufio.NewReaderSize(n, maxLine)
	n.quiet = func() time.Duration { return time.Until(n.began.Add(silentTimeout)) }
	n.ctx, n.cancel = context.WithCancelCause(ctx)
	context.AfterFunc(n.ctx, n.interrupt)
	return n
}

// Read sends what was gathered and reads what the client sends. Each read has a
// deadline of its own: a slow client is served, one that has stopped is not waited for.
func (c *conn) Read(p []byte) (n int, err error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	_ = c.SetReadDeadline(time.Now().Add(c.quiet())) // an error shows at the read
	if c.ctx.Err() == nil {                          // otherwise interrupt may have been before
		n, err = c.stream.Read(p)
	}
	switch {
	case n > 0:
		return n, nil
	case c.ctx.Err() != nil:
		return 0, context.Cause(c.ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, errTimeout
	}
	return 0, err
}

// interrupt ends a read.
func (c *conn) interrupt() {
	_ = c.SetReadDeadline(time.Unix(1, 0)) // an error shows at the read
}

// line reads a command without its line end. Of a longer one than maxLine the rest is
// skipped. CR LF alone ends a line: a client that lets a LF into an address would
// otherwise let whoever wrote that address give commands.
func (c *conn) line() (string, error) {
	raw, err := c.in.ReadSlice('\n')
	for skipped := 0; errors.Is(err, bufio.ErrBufferFull); skipped += len(raw) {
		if skipped > maxSkip {
			return "", errEndless
		}
		if raw, err = c.in.ReadSlice('\n'); err == nil {
			err = errTooLong
		}
	}
	if err != nil {
		return "", err
	}
	c.heard.Store(true)
	text, found := bytes.CutSuffix(raw, []byte("\r\n"))
	if !found {
		return "", errBareLF
	}
	return string(text), nil
}

// reply gathers a line.
func (c *conn) reply(r reply) {
	c.out = fmt.Appendf(c.out, "%d ", r.code)
	if r.enhanced != "" {
		c.out = append(append(c.out, r.enhanced...), ' ')
	}
	c.out = append(append(c.out, oneLine(r.text)...), "\r\n"...)
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_ = c.SetWriteDeadline(time.Now().Add(flushTimeout)) // an error shows at the write
	if c.ctx.Err() != nil {                              // and bye may have set its own before
		_ = c.SetWriteDeadline(time.Now().Add(closeTimeout))
	}
	_, err := c.stream.Write(c.out)
	if c.out = c.out[:0]; err != nil {
		c.cancel(errClientGone)
	}
	return err
}

// bye makes the session say goodbye and end, after what it is doing now. It does not
// wait.
func (c *conn) bye(why string) {
	c.byeText.CompareAndSwap(nil, &why)
	c.cancel(context.Canceled)
	_ = c.SetWriteDeadline(time.Now().Add(closeTimeout)) // an error shows at the write
}

// finish says goodbye and closes. It is called by the session.
func (c *conn) finish(last reply) {
	if why := c.byeText.Load(); why != nil {
		last = reply{code: 421, enhanced: "4.3.2", text: *why}
	}
	if last.code != 0 {
		c.reply(last)
	}
	c.cancel(context.Canceled)
	closing := c.Conn
	if c.flush() == nil {
		closing = c.stream // TLS says that nothing is missing
	}
	_ = closing.Close() // nothing is left to be sent
	c.abort()
}

// abort closes without sending what is gathered.
func (c *conn) abort() {
	c.cancel(context.Canceled)
	_ = c.Conn.Close() // nothing to be done about a connection that is given up
	c.closeOnce.Do(c.closed)
}

// secure puts TLS over the network. Nothing may have been received, for it came in the
// clear from whomever.
func (c *conn) secure(config *tls.Config) error {
	if err := c.flush(); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Time{}) // of the former read; an error shows in the handshake
	stream := tls.Server(c.Conn, config)
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	if err := stream.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.stream = stream
	c.heard.Store(true)
	return nil
}
