package imapwire

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
func (r *Reader) Number() uint32 { return uint32(r.number(32)) } // of 32 bits

// NZNumber and NZNumber64 read a number that is at least 1 and has no leading zeros
// (RFC 9051 section 9, nz-number and nz-number64).
func (r *Reader) NZNumber() uint32 { return uint32(r.nzNumber(32)) } // of 32 bits

// NZNumber64 is for 63 bits.
func (r *Reader) NZNumber64() int64 { return int64(r.nzNumber(63)) } // of 63 bits

func (r *Reader) nzNumber(bits int) uint64 {
	if r.Peek() == '0' {
		r.syntax("Expected a number that is at least 1, without leading zeros")
	}
	return r.number(bits)
}

// Number64 reads a number of 63 bits.
func (r *Reader) Number64() int64 { return int64(r.number(63)) } // of 63 bits

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
	if c := r.Peek(); c == '"' || c == 0 {
		return r.String()
	}
	return r.Atom()
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
	end := r.pos + len(word)
	if r.err != nil || end > len(r.line) || !strings.EqualFold(string(r.line[r.pos:end]), word) || end < len(r.line) && isAtom(r.line[end]) {
		return false
	}
	r.pos = end
	return true
}

// AtomUntil reads an atom that ends before an octet which atoms may have.
func (r *Reader) AtomUntil(end byte) string {
	return r.word("a word", func(c byte) bool { return isAtom(c) && c != end })
}
