package mailconn

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// BufferSize is the size of the read buffer in bytes, and so the longest line that
// is kept; see Conn.ReadLine.
const BufferSize = 64 << 10

// Conn is a connection with a deadline in front of every read and write. It must
// not be used by two goroutines at a time, except for Close.
type Conn struct {
	R *bufio.Reader
	W *bufio.Writer

	Idle   time.Duration // the longest wait for the next packet; see Within and Stream
	BareLF bool          // the last line that was read ended with LF alone

	raw     net.Conn // the TCP connection; closing it ends every read and write
	conn    net.Conn // raw, or secured
	secured *tls.Conn
	close   func() error

	until time.Time // end of the current step; zero where only Idle counts
	left  int64     // bytes that may still be read in the current step

	slow time.Duration // waited for since the rate was last looked at; see Stream
	came int           // bytes that came in it
}

// New makes a Conn of a connection in the clear.
func New(raw net.Conn) *Conn {
	c := &Conn{raw: raw, conn: raw, close: sync.OnceValue(raw.Close)}
	c.R = bufio.NewReaderSize(c, BufferSize)
	c.W = bufio.NewWriter(c)
	return c
}

// Close drops the connection. It may be called from any goroutine, more than once.
func (c *Conn) Close() error { return c.close() }

// LocalAddr is the address on this side.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// Secured reports whether TLS protects the connection.
func (c *Conn) Secured() bool { return c.secured != nil }

// Within bounds everything until the next call by d as a whole.
func (c *Conn) Within(d time.Duration) {
	c.Idle, c.until, c.left = d, time.Now().Add(d), math.MaxInt64
}

// Limit bounds the bytes that are read until the next call of Within or Stream.
func (c *Conn) Limit(n int64) { c.left = n }

// Stream bounds each packet by d, for as long as they keep coming at the least
// rate, and all of them together by limit, as nothing else ends an answer without
// end.
func (c *Conn) Stream(d time.Duration, limit int64) {
	c.Idle, c.until, c.left = d, time.Time{}, limit
	c.slow, c.came = 0, 0
}

// ErrEndless ends the connection to a server whose answer goes beyond its limit.
var ErrEndless = fault.New(fault.Protocol, "the server's answer does not end", "")

// The least rate of a listing or a message: a modem of 1985 brings twice as much.
// What waits for us counts no time.
const (
	RateWindow = time.Minute
	leastRate  = 1024 // bytes in it
)

// ErrTooSlow ends the connection to a server that keeps it alive with a few bytes
// now and then.
var ErrTooSlow = fault.New(fault.Temporary, "the server sent less than 1 KiB in a minute",
	"it is tried again by itself; if it stays so slow, ask the provider, or try another network")

// rate notes what a read of a stream brought.
func (c *Conn) rate(n int, took time.Duration) error {
	c.slow, c.came = c.slow+took, c.came+n
	if c.slow < RateWindow {
		return nil
	}
	enough := c.came >= leastRate
	c.slow, c.came = 0, 0
	if !enough {
		return ErrTooSlow
	}
	return nil
}

// Read reads from the connection; it is what the buffer is filled by.
func (c *Conn) Read(p []byte) (int, error) {
	deadline := c.until
	if deadline.IsZero() {
		deadline = time.Now().Add(c.Idle)
	}
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	if c.left <= 0 {
		return 0, ErrEndless
	}
	started := time.Now()
	n, err := c.conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.until.IsZero() && err == nil {
		err = c.rate(n, time.Since(started))
	}
	return n, err
}

// Write writes to the connection; it is what the buffer is flushed to.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.Idle)); err != nil {
		return 0, err
	}
	return c.conn.Write(p)
}

// ReadLine returns the next line without its end, which may be a bare LF. Of a
// line longer than the buffer the beginning is returned, and cut is true. The
// line is valid until the next read.
func (c *Conn) ReadLine() (line []byte, cut bool, err error) {
	line, err = c.R.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		cut = true
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = c.R.ReadSlice('\n')
		}
	}
	if err != nil {
		return nil, cut, Unexpected(err)
	}
	c.BareLF = !bytes.HasSuffix(line, []byte("\r\n"))
	return bytes.TrimRight(line, "\r\n"), cut, nil
}

// LineBuffered reports whether ReadLine would return at once.
func (c *Conn) LineBuffered() bool {
	b, _ := c.R.Peek(c.R.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// Unexpected turns an end of the stream into the error it is within a reply.
func Unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
