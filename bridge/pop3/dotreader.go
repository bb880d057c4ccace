package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrTooLarge says that a message is larger than Config.MaxMessage.
var ErrTooLarge = errors.New("message too large")

// dotReader reads the body of a multi-line reply: every byte as it is, but for
// the dots the server stuffed, up to the termination CRLF "." CRLF (RFC 1939
// section 3).
//
// A line begins after CRLF and at the start of the reply, and nowhere else: a
// bare LF or CR is data, so LF "." LF inside a message does not end it. The
// CRLF before the final dot belongs to the message. At the end of the stream
// without termination the error is io.ErrUnexpectedEOF.
type dotReader struct {
	r     *bufio.Reader
	left  int64 // bytes that may still be returned
	begin bool  // at the beginning of a line
	cr    bool  // the last byte was CR
	err   error // sticky; io.EOF after the termination
}

func newDotReader(r *bufio.Reader, limit int64) *dotReader {
	return &dotReader{r: r, left: limit, begin: true}
}

var newLineDot = []byte("\r\n.")

const termination = ".\r\n"

// Read works on what is buffered: one search finds the next place where a dot
// begins a line, everything before it is copied at once. It waits for more only
// when it has nothing to return.
func (d *dotReader) Read(p []byte) (n int, err error) {
	for n < len(p) && d.err == nil && (n == 0 || d.r.Buffered() >= len(termination)) {
		var m int
		m, d.err = d.next(p[n:])
		n += m
	}
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

// next returns the bytes up to the next dot that begins a line.
func (d *dotReader) next(p []byte) (int, error) {
	if d.begin {
		if err := d.lineStart(); err != nil {
			return 0, err
		}
	}
	if d.left == 0 {
		return 0, ErrTooLarge
	}
	if _, err := d.r.Peek(1); err != nil {
		return 0, unexpected(err)
	}
	chunk, _ := d.r.Peek(d.r.Buffered())
	if d.cr && chunk[0] == '\n' {
		chunk = chunk[:1] // the next byte begins a line
	} else if i := bytes.Index(chunk, newLineDot); i >= 0 {
		chunk = chunk[:i+2]
	}
	n := copy(p[:min(int64(len(p)), d.left)], chunk)
	d.advance(p[:n])
	return n, nil
}

// lineStart takes the termination, or a stuffed dot, off the start of a line.
func (d *dotReader) lineStart() error {
	if b, err := d.r.Peek(1); err != nil || b[0] != '.' {
		return unexpected(err)
	}
	// A dot is never the last byte of a reply: waiting for more is right.
	b, err := d.r.Peek(2)
	if err == nil && b[1] == '\r' {
		if b, err = d.r.Peek(3); err == nil && b[2] == '\n' {
			_, _ = d.r.Discard(3)
			return io.EOF
		}
	}
	if err != nil {
		return unexpected(err)
	}
	_, _ = d.r.Discard(1)
	d.begin = false
	d.cr = false
	return nil
}

// advance notes that emitted was returned.
func (d *dotReader) advance(emitted []byte) {
	n := len(emitted)
	_, _ = d.r.Discard(n)
	d.left -= int64(n)
	if n == 1 {
		d.begin = d.cr && emitted[0] == '\n'
	} else {
		d.begin = bytes.HasSuffix(emitted, newLineDot[:2])
	}
	d.cr = emitted[n-1] == '\r'
}
