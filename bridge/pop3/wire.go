package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// bufferSize is the size of the read buffer and so the longest line of a
// listing or status that is kept; see wire.readLine.
const bufferSize = 64 << 10

// wire is the connection with a deadline in front of every read and write.
type wire struct {
	conn net.Conn // raw, or TLS over it
	r    *bufio.Reader
	w    *bufio.Writer

	idle  time.Duration // the longest wait for the next packet
	until time.Time     // end of the current step; zero where only idle counts
	left  int64         // bytes that may still be read in the current step

	slow   time.Duration // waited for since the rate was last looked at; see stream
	came   int           // bytes that came in it
	bareLF bool          // the last line that was read ended with LF alone
}

func newWire(conn net.Conn) *wire {
	w := &wire{conn: conn}
	w.r = bufio.NewReaderSize(w, bufferSize)
	w.w = bufio.NewWriter(w)
	return w
}

// secure goes on over conn, a TLS connection on top of the current one.
func (w *wire) secure(conn net.Conn) {
	w.conn = conn
	w.r.Reset(w)
	w.w.Reset(w)
}

// within bounds everything until the next call by d as a whole.
func (w *wire) within(d time.Duration) {
	w.idle, w.until, w.left = d, time.Now().Add(d), math.MaxInt64
}

// stream bounds each packet by d, for as long as they keep coming at the least
// rate, and all of them together by limit, as nothing else ends an answer without
// end.
func (w *wire) stream(d time.Duration, limit int64) {
	w.idle, w.until, w.left = d, time.Time{}, limit
	w.slow, w.came = 0, 0
}

var errEndless = fault.New(fault.Protocol, "the server's answer does not end", "")

// The least rate of a listing or a message: a modem of 1985 brings twice as much.
// What waits for us counts no time.
const (
	rateWindow = time.Minute
	leastRate  = 1024 // bytes in it
)

// ErrTooSlow ends the connection to a server that keeps it alive with a few bytes
// now and then.
var ErrTooSlow = fault.New(fault.Temporary, "the server sent less than 1 KiB in a minute",
	"it is tried again by itself; if it stays so slow, ask the provider, or try another network")

// rate notes what a read of a stream brought.
func (w *wire) rate(n int, took time.Duration) error {
	w.slow, w.came = w.slow+took, w.came+n
	if w.slow < rateWindow {
		return nil
	}
	enough := w.came >= leastRate
	w.slow, w.came = 0, 0
	if !enough {
		return ErrTooSlow
	}
	return nil
}

// Read reads from the connection; it is what the buffer is filled by.
func (w *wire) Read(p []byte) (int, error) {
	deadline := w.until
	if deadline.IsZero() {
		deadline = time.Now().Add(w.idle)
	}
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	if w.left <= 0 {
		return 0, errEndless
	}
	started := time.Now()
	n, err := w.conn.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	if w.until.IsZero() && err == nil {
		err = w.rate(n, time.Since(started))
	}
	return n, err
}

// Write writes to the connection; it is what the buffer is flushed to.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.idle)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// readLine returns the next line without its end, which may be a bare LF. Of a
// line longer than the buffer the beginning is returned, and cut is true. The
// line is valid until the next read.
func (w *wire) readLine() (line []byte, cut bool, err error) {
	line, err = w.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		cut = true
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = w.r.ReadSlice('\n')
		}
	}
	if err != nil {
		return nil, cut, unexpected(err)
	}
	w.bareLF = !bytes.HasSuffix(line, []byte("\r\n"))
	return bytes.TrimRight(line, "\r\n"), cut, nil
}

// lineBuffered reports whether readLine would return at once.
func (w *wire) lineBuffered() bool {
	b, _ := w.r.Peek(w.r.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// unexpected turns an end of the stream into the error it is within a reply.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
