// Package imapwire reads the commands of IMAP clients and writes the pieces of
// responses (RFC 3501 and RFC 9051, section 9). It knows the grammar, and nothing
// of mailboxes, sessions or capabilities.
package imapwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Limits bound what a client may send.
type Limits struct {
	Line   int   // octets of a command, without its literals
	String int64 // octets of one string that is kept, a message aside
	Held   int64 // octets of all literals of a command that are kept
	Skip   int64 // octets of one literal that is read only to be passed over
}

// A SyntaxError is an error in the text of a command, for BAD.
type SyntaxError struct{ Text string }

// Error implements error.
func (e *SyntaxError) Error() string { return e.Text }

// A LimitError is a command that is beyond Limits, for BAD or NO [LIMIT].
type LimitError struct{ Text string }

// Error implements error.
func (e *LimitError) Error() string { return e.Text }

// ErrLost says that a client sends what can be neither read nor passed over: the
// connection has to end.
var ErrLost = errors.New("the command is too long")

// Reader reads the commands of one client. The first error in a command stays,
// and all methods return nothing from then on, so that a command is parsed without
// looking at each step; End returns the error. Finish then goes to the next
// command, whatever has been read of this one.
//
// A line that ends with {n} or {n+} announces a literal, whatever is before that.
// So the octets of a literal are never taken for a command.
type Reader struct {
	src     io.Reader
	lim     Limits
	proceed func() error // sends a continuation request

	buf  []byte // what in lies in
	in   []byte // received, not looked at
	line []byte // the current line, without its end and without a literal's announcement
	pos  int    // in line
	used int    // octets of the lines of this command
	held int64  // octets of literals kept of this command
	err  error  // the first in this command
	dead error  // of the connection

	utf8    bool    // quoted strings are UTF-8
	lit     literal // announced at the end of line
	pending bool    // lit is still to be read or passed over
}

// NewReader returns a Reader of what a client sends. proceed is called when the
// client waits to be told that it may send a literal; it sends a continuation
// request.
func NewReader(src io.Reader, lim Limits, proceed func() error) *Reader {
	return &Reader{src: src, lim: lim, proceed: proceed}
}

// SetLimits changes the limits from the next line on.
func (r *Reader) SetLimits(lim Limits) { r.lim = lim }

// RequireUTF8 refuses quoted strings that are not UTF-8 (RFC 6855 section 3).
func (r *Reader) RequireUTF8() { r.utf8 = true }

// Next reads the first line of a command, which stands still until then. An
// error is one of the connection.
func (r *Reader) Next() error {
	r.err, r.used, r.held = nil, 0, 0
	return r.readLine()
}

// Waiting reports whether octets of the client are here that no command has used.
func (r *Reader) Waiting() bool { return len(r.in) > 0 }

// First is the first of them.
func (r *Reader) First() byte { return r.in[0] }

// Release gives up the memory that a long command took. No octets are waiting.
func (r *Reader) Release() {
	if len(r.in) == 0 && cap(r.buf)+cap(r.line) > 2*4096 {
		r.buf, r.in, r.line = nil, nil, nil
	}
}

// Fill waits for octets of the client, where none are waiting.
func (r *Reader) Fill() error {
	if len(r.in) > 0 {
		return nil
	}
	return r.receive()
}

// firstBuffer is enough for most commands, of which a client sends one and waits.
const firstBuffer = 1024

func (r *Reader) receive() error {
	if r.dead != nil {
		return r.dead
	}
	if cap(r.in)-len(r.in) < 512 || len(r.in) == 0 {
		if cap(r.buf)-len(r.in) < 512 {
			r.buf = make([]byte, 0, 2*len(r.in)+firstBuffer)
		}
		r.in = append(r.buf[:0], r.in...) // to the front, where it may lie already
	}
	n, err := r.src.Read(r.in[len(r.in):cap(r.in)])
	r.in = r.in[:len(r.in)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	r.dead = err
	return err
}

// readLine takes a line, and with it what it announces.
func (r *Reader) readLine() error {
	seen := 0
	for {
		if i := bytes.IndexByte(r.in[seen:], '\n'); i >= 0 {
			if r.used += seen + i; r.used > r.lim.Line {
				r.dead = ErrLost
				return r.dead
			}
			line := bytes.TrimSuffix(r.in[:seen+i], []byte("\r"))
			r.line = append(r.line[:0], line...)
			r.in = r.in[seen+i+1:]
			r.pos = 0
			r.lit, r.pending = announced(r.line)
			if !r.pending { // some clients put a space at the end of a command
				r.line = bytes.TrimRight(r.line, " ")
				return nil
			}
			r.line = r.line[:bytes.LastIndexByte(r.line, '{')]
			if r.lit.binary {
				r.line = r.line[:len(r.line)-1]
			}
			return nil
		}
		if seen = len(r.in); r.used+seen > r.lim.Line {
			r.dead = ErrLost
			return r.dead
		}
		if err := r.receive(); err != nil {
			return err
		}
	}
}

// Fail notes an error in the command, unless there is one.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) syntax(format string, args ...any) {
	r.Fail(&SyntaxError{fmt.Sprintf(format, args...)})
}

// Dead is the error that the connection has ended with, nil as long as it goes on.
func (r *Reader) Dead() error { return r.dead }

// Err is the first error in the command so far.
func (r *Reader) Err() error { return r.err }

// End expects the end of the command, and returns the first error in it.
func (r *Reader) End() error {
	if r.err == nil && (r.pos < len(r.line) || r.pending) {
		r.syntax("Unexpected text at the end of the command")
	}
	return r.err
}

// Finish passes over what has not been read of the command: the rest of it, and
// every literal that the client sends without waiting. A client that waits for a
// continuation request is not told to go on, and so has sent the last of its
// command (RFC 9051 section 4.3). An error is one of the connection.
func (r *Reader) Finish() error {
	for r.pending {
		if r.pending = false; r.lit.sync {
			break
		}
		if r.lit.size > r.lim.Skip {
			r.dead = ErrLost
			return r.dead
		}
		if err := r.skip(r.lit.size); err != nil {
			return err
		}
		if err := r.readLine(); err != nil {
			return err
		}
	}
	r.line, r.pos = r.line[:0], 0
	return r.dead
}

func (r *Reader) skip(n int64) error {
	for n > 0 {
		if err := r.Fill(); err != nil {
			return err
		}
		k := min(n, int64(len(r.in)))
		r.in = r.in[k:]
		n -= k
	}
	return nil
}

// Line reads a line that is no command: the answer to AUTHENTICATE, or DONE.
func (r *Reader) Line() (string, error) {
	if err := r.Next(); err != nil {
		return "", err
	}
	text := string(r.line)
	if r.pending { // braces have no meaning here
		r.pending = false
		text += r.lit.String()
	}
	return text, nil
}
