package mailtext

import (
	"bytes"

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
