package imapwire

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
)

// literal is the announcement of one.
type literal struct {
	size   int64
	sync   bool // the client waits
	binary bool // ~{n}, RFC 3516
}

// announced is the literal that a line ends with (RFC 9051 section 9, literal and
// literal8; RFC 7888).
func announced(line []byte) (l literal, ok bool) {
	text, ok := bytes.CutSuffix(line, []byte("}"))
	i := bytes.LastIndexByte(text, '{')
	if !ok || i < 0 {
		return l, false
	}
	digits, nonSync := bytes.CutSuffix(text[i+1:], []byte("+"))
	if len(digits) == 0 || len(bytes.Trim(digits, "0123456789")) > 0 {
		return l, false
	}
	var err error
	if l.size, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
		l.size = math.MaxInt64
	}
	l.sync, l.binary = !nonSync, i > 0 && text[i-1] == '~'
	return l, true
}

// String is the announcement as it was sent, leading zeros aside.
func (l literal) String() string {
	text := "{" + strconv.FormatInt(l.size, 10)
	if l.binary {
		text = "~" + text
	}
	if !l.sync {
		text += "+"
	}
	return text + "}"
}

// keep reads the literal that is announced, and the line after it.
func (r *Reader) keep() string {
	size := r.lit.size
	switch {
	case size > r.lim.String:
		r.Fail(&LimitError{fmt.Sprintf("A string is limited to %d octets", r.lim.String)})
		return ""
	case size > r.lim.Held-r.held:
		r.Fail(&LimitError{fmt.Sprintf("The literals of a command are limited to %d octets", r.lim.Held)})
		return ""
	}
	if !r.begin() {
		return ""
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(&body{r, size}, text); err != nil {
		r.Fail(err)
		return ""
	}
	if r.held += size; bytes.IndexByte(text, 0) >= 0 && !r.lit.binary {
		defer r.syntax("A literal has a NUL") // RFC 9051 section 9, CHAR8
	}
	r.pending = false
	if err := r.readLine(); err != nil {
		r.Fail(err)
	}
	return string(text)
}

// begin lets the client send the literal.
func (r *Reader) begin() bool {
	if r.lit.sync {
		if err := r.proceed(); err != nil {
			r.dead = err
			r.Fail(err)
			return false
		}
	}
	r.lit.sync = false // its octets are on their way
	return true
}

// Announced returns the size of the literal that is next, and whether it is one
// with any octets (literal8, RFC 3516).
func (r *Reader) Announced() (size int64, binary, ok bool) {
	ok = r.err == nil && r.pos == len(r.line) && r.pending
	return r.lit.size, r.lit.binary, ok
}

// Literal lets the client send the literal that is next, and calls use with its
// octets. What use does not read is passed over. Its error is one of the command.
func (r *Reader) Literal(use func(io.Reader) error) {
	if _, _, ok := r.Announced(); !ok {
		r.syntax("Expected a literal")
	}
	if r.err != nil || !r.begin() {
		return
	}
	b := &body{r, r.lit.size}
	err := use(b)
	if r.dead == nil {
		_ = r.skip(b.left) // kept in r.dead
	}
	if r.pending = false; r.dead == nil {
		_ = r.readLine()
	}
	if r.dead != nil {
		err = r.dead
	}
	if err != nil {
		r.Fail(err)
	}
}

// body is what is left of a literal.
type body struct {
	r    *Reader
	left int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.left)]
	if len(b.r.in) == 0 && len(p) >= 4096 && b.r.dead == nil { // a message goes straight to where it is stored
		n, err := b.r.src.Read(p)
		if b.left -= int64(n); n == 0 {
			err = cmp.Or(err, io.ErrNoProgress)
			b.r.dead = err
		} else {
			err = nil
		}
		return n, unexpected(err)
	}
	if err := b.r.Fill(); err != nil {
		return 0, unexpected(err)
	}
	n := copy(p, b.r.in)
	b.r.in = b.r.in[n:]
	b.left -= int64(n)
	return n, nil
}

// unexpected is an error in the middle of a literal.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
