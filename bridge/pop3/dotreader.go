package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/popbridge/popbridge/internal/mailconn"
)

// ErrTooLarge says that a message is larger than Config.MaxMessage.
var ErrTooLarge = errors.New("raise max_message_size to fetch it")

// ErrBareLF says that the server seems to end its lines, and with them its
// messages, with LF alone. Connect again with Config.BareLF.
var ErrBareLF = errors.New("the server ends its lines with a bare LF")

// dotReader reads the body of a multi-line reply: every byte as it is, but for
// the dots the server stuffed, up to the termination CRLF "." CRLF (RFC 1939
// section 3).
//
// A line begins after CRLF and at the start of the reply, and nowhere else: a
// bare LF or CR is data, so LF "." LF inside a message does not end it. The
// CRLF before the final dot belongs to the message. At the end of the stream
// without termination the error is io.ErrUnexpectedEOF.
//
// Some servers end lines with a bare LF. Where that is not known, and nothing
// follows LF "." LF or LF "." CRLF, the error is ErrBareLF. Where it is known
// (bareLF), that is the termination, as long as nothing follows it; and a message
// whose first line ends with a bare LF has lines that do.
type dotReader struct {
	r      *bufio.Reader
	wire   *mailconn.Conn // under r; nil in tests
	left   int64          // bytes that may still be returned
	bareLF bool           // the server is known to end lines with a bare LF
	alone  bool           // takes time over the end of a message with bare LFs
	begin  bool           // at the beginning of a line
	cr     bool           // the last byte was CR
	lf     bool           // the last byte was LF
	style  style          // how the first line ended
	plain  bool           // the server does not stuff: a line began with a dot that would have been
	taken  int            // dots that were taken off the start of lines
	kept   int            // lines that begin with two, as they are from a server that does not stuff
	err    error          // sticky; io.EOF after the termination
}

// style is how a line ends.
type style uint8

const (
	styleUnknown style = iota
	styleCRLF
	styleLF
)

// How long nothing follows the end of a message with bare LFs: of a server that
// is known for them, and of one that is not, in a message without any CRLF. In one
// that has CRLF it is the time for the next packet.
const (
	bareLFAfter    = 2 * time.Second
	suspectLFAfter = 5 * time.Second
)

func newDotReader(r *bufio.Reader, limit int64) *dotReader {
	return &dotReader{r: r, left: limit, begin: true}
}

var newLineDot = []byte("\r\n.")

const termination = ".\r\n"

// Read works on what is buffered: one search finds the next place where a dot
// begins a line, everything before it is copied at once. It waits for more only
// when it has nothing to return.
func (d *dotReader) Read(p []byte) (n int, err error) {
	for n < len(p) && d.err == nil && (n == 0 || d.r.Buffered() > len(termination)) {
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
	if d.begin || d.lf {
		if err := d.lineStart(); err != nil {
			return 0, err
		}
	}
	if d.left == 0 {
		return 0, ErrTooLarge
	}
	if _, err := d.r.Peek(1); err != nil {
		return 0, mailconn.Unexpected(err)
	}
	chunk, _ := d.r.Peek(d.r.Buffered())
	d.learnStyle(chunk)
	lineDot := newLineDot
	if d.linesEndInLF() {
		lineDot = newLineDot[1:]
	}
	if d.cr && chunk[0] == '\n' {
		chunk = chunk[:1] // the next byte begins a line
	} else if i := bytes.Index(chunk, lineDot); i >= 0 {
		chunk = chunk[:i+len(lineDot)-1]
	} else if i := bareEnd(chunk); i > 0 {
		chunk = chunk[:i] // what may be the termination waits for what follows
	}
	n := copy(p[:min(int64(len(p)), d.left)], chunk)
	d.advance(p[:n])
	return n, nil
}

func (d *dotReader) learnStyle(chunk []byte) {
	if d.style != styleUnknown {
		return
	}
	i := bytes.IndexByte(chunk, '\n')
	switch {
	case i < 0:
	case i > 0 && chunk[i-1] == '\r', i == 0 && d.cr:
		d.style = styleCRLF
	default:
		d.style = styleLF
	}
}

func (d *dotReader) linesEndInLF() bool { return d.bareLF && d.style == styleLF }

// bareEnd returns where chunk ends with the dot and perhaps the line end that may
// be the termination behind a bare LF, -1 where it does not.
func bareEnd(chunk []byte) int {
	for _, end := range []string{"\n.", "\n.\r", "\n.\n", "\n.\r\n"} {
		if bytes.HasSuffix(chunk, []byte(end)) {
			return len(chunk) - len(end) + 1
		}
	}
	return -1
}

// lineStart takes the termination, or a stuffed dot, off the start of a line;
// behind a bare LF only the termination.
func (d *dotReader) lineStart() error {
	begin, bare := d.begin, !d.begin || d.linesEndInLF()
	d.lf = false
	if b, err := d.r.Peek(1); err != nil || b[0] != '.' {
		return mailconn.Unexpected(err)
	}
	// A dot is never the last byte of a reply: waiting for more is right.
	b, err := d.r.Peek(2)
	if err == nil && b[1] == '\r' {
		b, err = d.r.Peek(3)
	}
	if err != nil {
		return mailconn.Unexpected(err)
	}
	switch {
	case string(b) == termination && !bare:
		_, _ = d.r.Discard(len(b))
		return io.EOF
	case b[len(b)-1] == '\n':
		if err := d.bareTermination(len(b)); err != nil {
			return err
		}
	case begin && b[1] == '.' && d.plain:
		d.kept++
	case begin && b[1] == '.':
		_, _ = d.r.Discard(1)
		d.taken++
	case begin:
		// RFC 1939 section 3: a server that stuffs has made two dots of one. From
		// one that does not the dot belongs to the message.
		d.plain = true
	}
	d.begin, d.cr = false, false
	return nil
}

// bareTermination returns io.EOF when the n buffered bytes are the termination
// behind a bare LF, and nil when more follows: then they are data.
func (d *dotReader) bareTermination(n int) error {
	if d.r.Buffered() > n {
		return nil
	}
	if !d.linesEndInLF() || d.alone {
		_, err := d.peekWithin(n + 1)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return mailconn.Unexpected(err)
		case !d.bareLF:
			return ErrBareLF
		}
	}
	_, _ = d.r.Discard(n)
	return io.EOF
}

// peekWithin waits for n bytes, but not for long behind what ends a message.
func (d *dotReader) peekWithin(n int) ([]byte, error) {
	if w := d.wire; w != nil {
		defer func(idle time.Duration) { w.Idle = idle }(w.Idle)
		switch {
		case d.bareLF:
			w.Idle = bareLFAfter
		case d.style != styleCRLF:
			w.Idle = min(w.Idle, suspectLFAfter)
		}
	}
	return d.r.Peek(n)
}

// advance notes that emitted was returned.
func (d *dotReader) advance(emitted []byte) {
	n := len(emitted)
	_, _ = d.r.Discard(n)
	d.left -= int64(n)
	d.lf = emitted[n-1] == '\n'
	if n == 1 {
		d.begin = d.cr && d.lf
	} else {
		d.begin = bytes.HasSuffix(emitted, newLineDot[:2])
	}
	d.begin = d.begin || d.lf && d.linesEndInLF()
	d.cr = emitted[n-1] == '\r'
}
