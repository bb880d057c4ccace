package mailtext

import (
	"io"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/message"
)

// TermsVersion is the version of what Terms gives for a message. It is raised
// with every change to the text that is searched, to its folding and to Terms.
const TermsVersion = 4

// Terms are what an index of the text holds. A term is a longest run of letters,
// digits and marks in the folded text, cut further only at places that two
// neighbouring runes decide alone. So whatever text contains a needle contains,
// for each piece that the needle falls into by the same rules, a term with that
// piece in it: that is Pieces.
//
// All bytes of a term are at least TermByte, so that an index can put its own
// between: letters stand for themselves, digits have bytes that UTF-8 leaves
// unused.
const TermByte = 0x60

const (
	maxTerm  = 64 // bytes of a term; a longer run becomes terms that overlap
	maxPiece = 32 // bytes of a piece: every one that long is whole in a term
)

// Piece is a part of a needle, with what is known of the term it stands in.
type Piece struct {
	Text       []byte
	Start, End bool // the term starts, or ends, with it
}

// Pieces returns what must stand in the terms of every text that contains
// needle. There may be none. Where exact is set, the text contains needle if one
// of its terms has the only piece in it.
func Pieces(needle string) (pieces []Piece, exact bool) {
	folded := (&folder{}).fold(nil, []byte(needle), true)
	cut := splitter{limit: len(folded), emit: func(run []byte) bool {
		pieces = append(pieces, Piece{Text: slices.Clone(run), Start: true, End: true})
		return true
	}}
	cut.split(folded)
	cut.flush()
	if len(pieces) == 0 {
		return nil, false
	}
	// In the text a term may begin before the needle and end after it.
	first, _ := utf8.DecodeRune(folded)
	last, _ := utf8.DecodeLastRune(folded)
	pieces[0].Start, pieces[len(pieces)-1].End = !inTerm(first), !inTerm(last)
	exact = len(pieces) == 1 && len(pieces[0].Text) <= maxPiece && !pieces[0].Start && !pieces[0].End
	for i := range pieces {
		if p := &pieces[i]; len(p.Text) > maxPiece {
			p.Text, p.End = p.Text[:maxPiece], false
		}
	}
	return pieces, exact
}

// Terms calls add with the terms of everything that MatchText looks at, each as
// often as it stands there, until add returns false; body tells those that
// MatchBody looks at. r is the message that s was made from.
func Terms(s *message.Summary, r io.ReaderAt, add func(term []byte, body bool) bool) error {
	t := termSink{}
	t.limit, t.emit = maxTerm, func(term []byte) bool { return add(term, t.body) }
	err := readTexts(s, r, &t, true)
	if t.stopped {
		err = nil
	}
	return err
}

// termSink finds the terms in the texts of a message.
type termSink struct {
	splitter
	f    folder
	buf  []byte
	body bool
}

func (t *termSink) begin(loose, body bool) { t.f, t.body = folder{loose: loose}, body }

func (t *termSink) Write(p []byte) (int, error) { return len(p), t.take(p, false) }

func (t *termSink) end() error {
	if err := t.take(nil, true); err != nil {
		return err
	}
	t.flush()
	return t.err()
}

func (t *termSink) take(p []byte, last bool) error {
	t.buf = t.f.fold(t.buf[:0], p, last)
	t.split(t.buf)
	return t.err()
}

// splitter cuts folded text into terms.
type splitter struct {
	limit   int // bytes of a term
	emit    func(term []byte) bool
	run     []byte
	prev    rune // the last of run
	stopped bool
}

func (s *splitter) err() error {
	if s.stopped {
		return foundError{}
	}
	return nil
}

// split goes on with text, which is whole runes.
func (s *splitter) split(text []byte) {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if b := spelled[c]; b != 0 {
				s.add(rune(c), b)
			} else {
				s.flush()
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if inTerm(r) {
			s.add(r, text[i:i+size]...)
		} else {
			s.flush()
		}
		i += size
	}
}

// add adds a rune to the run, or begins one with it.
func (s *splitter) add(r rune, b ...byte) {
	if len(s.run) > 0 && parted(s.prev, r) {
		s.flush()
	}
	s.run, s.prev = append(s.run, b...), r
	if len(s.run) > s.limit {
		s.stopped = s.stopped || !s.emit(s.run[:s.limit])
		// The next one has enough of this one that a piece is whole in either.
		s.run = append(s.run[:0], s.run[s.limit-maxPiece+1:]...)
	}
}

// flush ends the run.
func (s *splitter) flush() {
	if len(s.run) > 0 {
		s.stopped = s.stopped || !s.emit(s.run)
		s.run = s.run[:0]
	}
}

func inTerm(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 0 && spelled[r] != 0
	}
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)
}

// parted reports whether a term ends between two runes. Chinese, Japanese, Thai
// and others put no space between words, so that runs are long and seldom the
// same: there every second pair or so is parted.
func parted(a, b rune) bool {
	return a >= dense && b >= dense && (uint32(a)*0x9E3779B1^uint32(b)*0x85EBCA6B)>>31 == 0
}

const dense = 0x0E00 // Thai, and all scripts behind it

// spelled has the bytes that folded ASCII letters and digits have in a term, 0
// for what is in none.
var spelled = func() (table [utf8.RuneSelf]byte) {
	for c := byte('a'); c <= 'z'; c++ {
		table[c] = c
	}
	for c := byte('0'); c <= '9'; c++ {
		table[c] = 0xF5 + c - '0'
	}
	return table
}()
