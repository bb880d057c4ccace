// Package imapwire reads the commands of IMAP clients and writes the pieces of
// responses (RFC 3501 and RFC 9051, section 9). It knows the grammar, and nothing
// of mailboxes, sessions or capabilities.
package imapwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
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

func (r *Reader) receive() error {
	if r.dead != nil {
		return r.dead
	}
	if cap(r.in)-len(r.in) < 512 || len(r.in) == 0 {
		if cap(r.buf)-len(r.in) < 512 {
			r.buf = make([]byte, 0, 2*len(r.in)+4096)
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

// Peek returns the next octet of the line, 0 at its end and after an error.
func (r *Reader) Peek() byte {
	if r.err != nil || r.pos >= len(r.line) {
		return 0
	}
	return r.line[r.pos]
}

// Take takes the next octet, where it is c.
func (r *Reader) Take(c byte) bool {
	if r.Peek() != c || c == 0 {
		return false
	}
	r.pos++
	return true
}

// Expect takes the next octet, which has to be c.
func (r *Reader) Expect(c byte) {
	if !r.Take(c) {
		r.syntax("Expected %q", c)
	}
}

// SP expects a space.
func (r *Reader) SP() {
	if !r.Take(' ') {
		r.syntax("Expected a space")
	}
}

// AtEnd reports whether the command has been read, or has an error.
func (r *Reader) AtEnd() bool { return r.err != nil || r.pos >= len(r.line) && !r.pending }

// word takes octets as long as they belong to it.
func (r *Reader) word(what string, belongs func(byte) bool) string {
	if r.err != nil {
		return ""
	}
	start := r.pos
	for r.pos < len(r.line) && belongs(r.line[r.pos]) {
		r.pos++
	}
	if r.pos == start {
		r.syntax("Expected %s", what)
	}
	return string(r.line[start:r.pos])
}

// isAtom is ATOM-CHAR (RFC 9051 section 9), and ], which an astring may have and
// clients send in flags.
func isAtom(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`(){%*"\`, rune(c))
}

// Atom reads an atom.
func (r *Reader) Atom() string { return r.word("a word", isAtom) }

// Tag reads the tag of a command.
func (r *Reader) Tag() string {
	return r.word("a tag", func(c byte) bool { return isAtom(c) && c != '+' })
}

// Number reads a number of 32 bits.
func (r *Reader) Number() uint32 {
	n := r.number(32)
	return uint32(n)
}

// NZNumber and NZNumber64 read a number that is at least 1 and has no leading zeros
// (RFC 9051 section 9, nz-number and nz-number64).
func (r *Reader) NZNumber() uint32 { return uint32(r.nzNumber(32)) }

// NZNumber64 is for 63 bits.
func (r *Reader) NZNumber64() int64 { return int64(r.nzNumber(63)) } //nolint:gosec // of 63 bits

func (r *Reader) nzNumber(bits int) uint64 {
	if r.Peek() == '0' {
		r.syntax("Expected a number that is at least 1, without leading zeros")
	}
	return r.number(bits)
}

// Number64 reads a number of 63 bits.
func (r *Reader) Number64() int64 { return int64(r.number(63)) } //nolint:gosec // of 63 bits

func (r *Reader) number(bits int) uint64 {
	text := r.word("a number", func(c byte) bool { return c >= '0' && c <= '9' })
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		r.syntax("A number is too large")
	}
	return n
}

// AString reads a string that may be an atom (astring).
func (r *Reader) AString() string {
	switch c := r.Peek(); {
	case c == '"', c == 0:
		return r.String()
	default:
		return r.Atom()
	}
}

// ListMailbox reads a mailbox pattern (list-mailbox).
func (r *Reader) ListMailbox() string {
	if c := r.Peek(); c == '"' || c == 0 {
		return r.String()
	}
	return r.word("a pattern", func(c byte) bool { return isAtom(c) || c == '%' || c == '*' })
}

// NString reads a string, or NIL.
func (r *Reader) NString() (text string, isNil bool) {
	if c := r.Peek(); c == '"' || c == 0 {
		return r.String(), false
	}
	if word := r.Atom(); r.err == nil && !strings.EqualFold(word, "NIL") {
		r.syntax("Expected a string or NIL")
	}
	return "", true
}

// String reads a quoted string or a literal, which it keeps in memory.
func (r *Reader) String() string {
	if r.err == nil && r.pos == len(r.line) && r.pending {
		return r.keep()
	}
	if !r.Take('"') {
		r.syntax("Expected a string")
		return ""
	}
	var text []byte
	for r.pos < len(r.line) {
		c := r.line[r.pos]
		r.pos++
		switch c {
		case '"':
			if r.utf8 && !utf8.Valid(text) {
				r.syntax("A quoted string is not UTF-8")
			}
			return string(text)
		case '\\':
			if next := r.Peek(); next != '"' && next != '\\' {
				r.syntax("Only \\\" and \\\\ may be in a quoted string")
				return ""
			}
			c = r.line[r.pos]
			r.pos++
		case 0, '\r':
			r.syntax("A quoted string has a control character")
			return ""
		}
		text = append(text, c)
	}
	r.syntax("A quoted string has no end")
	return ""
}

// List reads ( item SP item ... ), which may be empty.
func (r *Reader) List(item func()) {
	if r.Expect('('); !r.Take(')') {
		r.items(item)
	}
}

// Items reads a list that has at least one item.
func (r *Reader) Items(item func()) {
	r.Expect('(')
	r.items(item)
}

func (r *Reader) items(item func()) {
	for r.err == nil {
		if item(); r.Take(')') {
			return
		}
		r.SP()
	}
}

// Params reads a list of parameters, at least one and none twice (RFC 4466 section 3).
// read gets the name in capitals, and reads the value.
func (r *Reader) Params(read func(name string)) {
	var names []string
	r.Items(func() {
		name := strings.ToUpper(r.Atom())
		if slices.Contains(names, name) {
			r.syntax("A parameter is given twice")
		}
		names = append(names, name)
		read(name)
	})
}

// ObjectID reads an objectid (RFC 8474 section 7).
func (r *Reader) ObjectID() string {
	id := r.word("an object id", func(c byte) bool {
		return c == '_' || c == '-' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	})
	if len(id) > 255 {
		r.syntax("An object id is too long")
	}
	return id
}

// Flag reads a flag or keyword, or the name of a special use.
func (r *Reader) Flag() string {
	if r.Take('\\') {
		return `\` + r.Atom()
	}
	return r.Atom()
}

// TakeWord takes a word, in whatever case, where it is next.
func (r *Reader) TakeWord(word string) bool {
	if r.err != nil || len(r.line)-r.pos < len(word) || !strings.EqualFold(string(r.line[r.pos:r.pos+len(word)]), word) {
		return false
	}
	if next := r.pos + len(word); next < len(r.line) && isAtom(r.line[next]) {
		return false
	}
	r.pos += len(word)
	return true
}

// AtomUntil reads an atom that ends before an octet which atoms may have.
func (r *Reader) AtomUntil(end byte) string {
	return r.word("a word", func(c byte) bool { return isAtom(c) && c != end })
}
