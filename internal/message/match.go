package message

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Matcher finds a piece of text whatever its case, by Unicode's simple case
// folding. White space is as good as any other white space, so that a phrase is
// found across the end of a line. A Matcher may be used by several goroutines.
type Matcher struct{ needle []byte }

// NewMatcher returns a Matcher for needle. The empty needle is in every text.
func NewMatcher(needle string) *Matcher {
	f := folder{}
	return &Matcher{f.fold(nil, []byte(needle), true)}
}

// Match reports whether s contains the needle.
func (m *Matcher) Match(s string) bool { return m.match([]byte(s)) }

func (m *Matcher) match(text []byte) bool {
	if len(m.needle) == 0 {
		return true
	}
	var buf [256]byte
	f := folder{}
	return bytes.Contains(f.fold(buf[:0], text, true), m.needle)
}

// folder brings text into the form in which it is compared: UTF-8, runes
// folded, a run of white space one space. Bytes that are not UTF-8 are taken
// for ISO 8859-1.
type folder struct {
	tail  []byte // beginning of a rune at the end of the last piece
	space bool   // the last byte written was a space
}

// fold appends the folded form of text to dst. last says that no more follows.
func (f *folder) fold(dst, text []byte, last bool) []byte {
	if len(f.tail) > 0 {
		text = append(f.tail, text...)
		f.tail = nil
	}
	for i := 0; i < len(text); {
		c := text[i]
		if up := upper[c]; up > ' ' {
			dst = append(dst, up)
			f.space = false
			i++
			continue
		}
		if c < utf8.RuneSelf {
			i++
			if c == ' ' || '\t' <= c && c <= '\r' {
				dst = f.blank(dst)
			} else {
				dst = append(dst, c)
				f.space = false
			}
			continue
		}
		if !last && !utf8.FullRune(text[i:]) {
			f.tail = append(f.tail, text[i:]...)
			break
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			r = rune(c)
		}
		i += size
		if unicode.IsSpace(r) {
			dst = f.blank(dst)
			continue
		}
		dst = utf8.AppendRune(dst, foldRune(r))
		f.space = false
	}
	return dst
}

// upper has the folded form of the printing ASCII characters, 0 for the others.
var upper = func() (table [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		table[c] = c
		if 'a' <= c && c <= 'z' {
			table[c] -= 'a' - 'A'
		}
	}
	return table
}()

func (f *folder) blank(dst []byte) []byte {
	if f.space {
		return dst
	}
	f.space = true
	return append(dst, ' ')
}

// foldRune returns the smallest of the runes that differ from r only in case.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// stream looks for the needle of a Matcher in text that is written to it piece
// by piece.
type stream struct {
	m     *Matcher
	f     folder
	buf   []byte
	found bool
}

// errFound ends the reading of a text that has been found to match.
type foundError struct{}

func (foundError) Error() string { return "found" }

// Write looks for the needle in what was written before and p. It returns a
// foundError when it is there.
func (s *stream) Write(p []byte) (int, error) {
	s.look(p, false)
	if s.found {
		return len(p), foundError{}
	}
	return len(p), nil
}

// end looks at what is left. The next Write begins another text.
func (s *stream) end() bool {
	s.look(nil, true)
	s.f, s.buf = folder{}, s.buf[:0]
	return s.found
}

func (s *stream) look(p []byte, last bool) {
	if s.found {
		return
	}
	s.buf = s.f.fold(s.buf, p, last)
	s.found = bytes.Contains(s.buf, s.m.needle)
	// The needle may have begun in this piece.
	if over := len(s.buf) - max(len(s.m.needle)-1, 0); over > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[over:])]
	}
}
