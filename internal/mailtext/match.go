package mailtext

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/popbridge/popbridge/internal/message"
)

// Matcher finds a piece of text whatever its case and whether its characters are
// composed, as i;unicode-casemap does (RFC 5051), and by Unicode's full case
// folding: "STRASSE" is in "Straße". Bytes that are not UTF-8 are taken for
// ISO 8859-1.
//
// Any white space is as good as a space, and so is the end of a line, so that a
// phrase is found where a line was wrapped. In plain text each counts; where it
// has no width of its own, in HTML and in header fields, which are folded, a run
// of white space counts as one, in the needle too. docs/decisions/0008 says why.
//
// A Matcher may be used by several goroutines.
type Matcher struct{ exact, loose []byte }

// NewMatcher returns a Matcher for needle. The empty needle is in every text.
func NewMatcher(needle string) *Matcher {
	m := &Matcher{loose: (&folder{loose: true}).fold(nil, []byte(needle), true)}
	m.exact = (&folder{}).fold(nil, []byte(needle), true)
	return m
}

// Match reports whether s, which is text on one line, contains the needle.
func (m *Matcher) Match(s string) bool { return m.match([]byte(s)) }

func (m *Matcher) match(text []byte) bool {
	if len(m.loose) == 0 {
		return true
	}
	var buf [256]byte
	f := folder{loose: true}
	return bytes.Contains(f.fold(buf[:0], text, true), m.loose)
}

// MatchHeader reports whether header has a field of that name with a value that
// contains the needle.
func (m *Matcher) MatchHeader(header *message.Header, name string) bool {
	for f := range header.Fields() {
		if f.Is(name) && m.match(f.Text()) {
			return true
		}
	}
	return false
}

// folder brings text into the form in which it is compared: UTF-8, runes
// folded, white space as spaces.
type folder struct {
	loose bool   // a run of white space is one space
	tail  []byte // beginning of a rune at the end of the last piece
	blank byte   // the white space just before, '\r' or any other; 0 for none
}

// fold appends the folded form of text to dst. last says that no more follows.
func (f *folder) fold(dst, text []byte, last bool) []byte {
	if len(f.tail) > 0 {
		text = append(f.tail, text...)
		f.tail = nil
	}
	for i := 0; i < len(text); {
		c := text[i]
		if low := lowered[c]; low > ' ' {
			dst = append(dst, low)
			f.blank = 0
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			if !last && !utf8.FullRune(text[i:]) {
				f.tail = append(f.tail, text[i:]...)
				break
			}
			if r, size = utf8.DecodeRune(text[i:]); r == utf8.RuneError && size == 1 {
				r = rune(c)
			}
		}
		i += size
		switch {
		case unicode.IsSpace(r):
			dst = f.space(dst, c)
		case !unseen(r):
			dst = appendFolded(dst, r)
			f.blank = 0
		}
	}
	return dst
}

// unseen reports whether a reader sees nothing of r: soft hyphens, joiners and
// spaces without width, of which HTML mail is full.
func unseen(r rune) bool {
	switch r {
	case '\u00ad', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff':
		return true
	}
	return false
}

func (f *folder) space(dst []byte, c byte) []byte {
	if f.loose && f.blank != 0 {
		return dst
	}
	if c == '\n' && f.blank == '\r' {
		f.blank = c
		return dst
	}
	f.blank = c
	return append(dst, ' ')
}

// lowered has the folded form of the printing ASCII characters, 0 for the
// others.
var lowered = func() (table [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		table[c] = lower(c)
	}
	return table
}()

// appendFolded appends the folding of what r is composed of (RFC 5051 section 2).
func appendFolded(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return utf8.AppendRune(dst, foldRune(r))
	}
	var buf [utf8.UTFMax]byte
	parts := buf[:utf8.EncodeRune(buf[:], r)]
	if composed := norm.NFKD.Properties(parts).Decomposition(); composed != nil {
		parts = composed
	}
	for len(parts) > 0 {
		r, size := utf8.DecodeRune(parts)
		if parts = parts[size:]; r == 'ß' || r == 'ẞ' {
			dst = append(dst, "ss"...)
			continue
		}
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// foldRune returns the smallest of the runes that differ from r only in case, in
// lower case where that is ASCII.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	switch {
	case 'A' <= least && least <= 'Z':
		least += 'a' - 'A'
	case least == 'ı': // its upper case is I
		least = 'i'
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

// foundError ends the reading of a text that has been found to match.
type foundError struct{}

func (foundError) Error() string { return "found" }

// begin begins a text; nothing is found across the border of two.
func (s *stream) begin(loose, _ bool) { s.f, s.buf = folder{loose: loose}, s.buf[:0] }

// Write looks for the needle in what was written since begin and p. It returns a
// foundError when it is there.
func (s *stream) Write(p []byte) (int, error) { return len(p), s.look(p, false) }

// end looks at what is left.
func (s *stream) end() error { return s.look(nil, true) }

func (s *stream) look(p []byte, last bool) error {
	needle := s.m.exact
	if s.f.loose {
		needle = s.m.loose
	}
	s.buf = s.f.fold(s.buf, p, last)
	if bytes.Contains(s.buf, needle) {
		s.found = true
		return foundError{}
	}
	// The needle may have begun in this piece.
	if over := len(s.buf) - max(len(needle)-1, 0); over > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[over:])]
	}
	return nil
}
