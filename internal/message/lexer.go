package message

import "bytes"

// lexer reads the tokens of RFC 5322 and RFC 2045 from the value of a field. What
// it takes and where it stops is Dovecot's, so that both answer the same for what
// is broken. After a token the white space and the comments behind it are read.
type lexer struct {
	in      []byte // what is left
	comment []byte // the last comment
}

// outcome is how reading a token went.
type outcome int8

const (
	broken outcome = iota - 1
	ended          // nothing is left
	more
)

const nul = "\uFFFD" // stands for a NUL

// atext has 1 for the characters of an atom, 2 for those of a token.
var atext = func() (table [256]byte) {
	for c := range table {
		if c > ' ' && c != 0x7f && bytes.IndexByte([]byte(`"(),.:;<>@[\]`), byte(c)) < 0 {
			table[c] = 1
			if c != '/' && c != '=' && c != '?' {
				table[c] = 2
			}
		}
	}
	table['.'] = 3 // of a token, not of an atom
	return table
}()

func isAtom(c byte) bool { return atext[c] == 1 || atext[c] == 2 }

// at reports whether c comes next.
func (l *lexer) at(c byte) bool { return len(l.in) > 0 && l.in[0] == c }

func (l *lexer) rest() outcome {
	if len(l.in) == 0 {
		return ended
	}
	return more
}

// space reads white space and comments.
func (l *lexer) space() outcome {
	for len(l.in) > 0 {
		switch l.in[0] {
		case ' ', '\t', '\r', '\n':
			l.in = l.in[1:]
		case '(':
			var ok bool
			l.in = l.in[1:]
			if l.comment, ok = l.enclosed(l.comment[:0], '(', ')'); !ok {
				return broken
			}
		default:
			return more
		}
	}
	return ended
}

// enclosed reads the rest of a comment, a quoted string or a domain literal, up to
// its end, and appends it without quoting, which a literal keeps, and folding. A
// comment may hold others, a literal may not.
func (l *lexer) enclosed(dst []byte, open, end byte) (text []byte, ok bool) {
	level, settled := 1, len(dst) // an error leaves what is settled
	for i := 0; i < len(l.in); i++ {
		switch c := l.in[i]; {
		case c == 0:
			dst = append(dst, nul...)
			settled = len(dst)
			continue
		case c == '\n' && i+2 >= len(l.in):
			l.in = nil
			return dst[:settled], false
		case c == '\n':
			dst = append(dst[:settled], bytes.TrimSuffix(dst[settled:], []byte("\r"))...)
			settled = len(dst)
			continue
		case c == end:
			if level--; level == 0 {
				l.in = l.in[i+1:]
				return dst, true
			}
		case c == open && open == '[':
			l.in = l.in[i:]
			return dst[:settled], false
		case c == open:
			level++
		case c == '\\':
			if i+1 == len(l.in) {
				l.in = nil
				return dst[:settled], false
			}
			if next := l.in[i+1]; next == '\r' || next == '\n' || next == 0 {
				break
			}
			if open == '[' {
				dst = append(dst, c)
			} else {
				settled = len(dst)
			}
			i++
		}
		dst = append(dst, l.in[i])
	}
	l.in = nil
	return dst[:settled], false
}

// quoted reads a quoted string.
func (l *lexer) quoted(dst []byte) ([]byte, outcome) {
	l.in = l.in[1:]
	dst, ok := l.enclosed(dst, 0, '"')
	if !ok {
		return dst, broken
	}
	return dst, l.space()
}

// run reads as many characters of a class as there are, perhaps none.
func (l *lexer) run(dst []byte, class func(c byte) bool) []byte {
	n := 0
	for n < len(l.in) && class(l.in[n]) {
		n++
	}
	dst = append(dst, l.in[:n]...)
	l.in = l.in[n:]
	return dst
}

// atom reads an atom.
func (l *lexer) atom(dst []byte) ([]byte, outcome) {
	if len(l.in) == 0 || !isAtom(l.in[0]) {
		return dst, broken
	}
	return l.spaced(l.run(dst, isAtom))
}

// token reads a token of MIME, perhaps an empty one (RFC 2045 section 5.1).
func (l *lexer) token(dst []byte) ([]byte, outcome) {
	return l.spaced(l.run(dst, func(c byte) bool { return atext[c] >= 2 }))
}

func (l *lexer) spaced(dst []byte) ([]byte, outcome) { return dst, l.space() }

// dotAtom reads atoms with dots between them, and white space around these (RFC
// 5322 section 4.4).
func (l *lexer) dotAtom(dst []byte) ([]byte, outcome) {
	for {
		if len(l.in) == 0 || !isAtom(l.in[0]) {
			return dst, broken
		}
		dst = l.run(dst, isAtom)
		if o := l.space(); o != more || l.in[0] != '.' {
			return dst, o
		}
		l.in = l.in[1:]
		dst = append(dst, '.')
		if l.space() != more {
			return dst, broken
		}
	}
}

// phrase reads words, with dots among them, and puts a space between them.
func (l *lexer) phrase(dst []byte) ([]byte, outcome) {
	switch {
	case len(l.in) == 0:
		return dst, ended
	case l.in[0] == '.':
		return dst, broken
	}
	for {
		var o outcome
		if l.in[0] == '"' {
			dst, o = l.quoted(dst)
		} else {
			dst, o = l.spaced(l.run(dst, func(c byte) bool { return atext[c] > 0 }))
		}
		if o != more {
			return dst, o
		}
		if c := l.in[0]; atext[c] == 0 && c != '"' {
			return dst, more
		}
		dst = append(dst, ' ')
	}
}

// domain reads an @ and a domain.
func (l *lexer) domain(dst []byte) ([]byte, outcome) {
	l.in = l.in[1:]
	if l.space() != more {
		return dst, broken
	}
	if l.in[0] != '[' {
		return l.dotAtom(dst)
	}
	before := len(dst)
	l.in = l.in[1:]
	dst, ok := l.enclosed(append(dst, '['), '[', ']')
	if !ok {
		return dst[:before], broken
	}
	return l.spaced(append(dst, ']'))
}
