package mailtext

import (
	"errors"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/message"
)

const (
	// maxPreview is the longest preview in characters (RFC 8970 section 3.1).
	maxPreview = 200
	// maxPreviewed are the bytes of a body that are looked at: HTML may begin with
	// a long style sheet.
	maxPreviewed = 64 << 10
)

// Preview returns the beginning of the text of a message: of its first text part,
// in a multipart/alternative of the plain one, without quoted lines and with white
// space as single spaces. It is empty where there is no text. r is the message
// that s was made from.
func Preview(s *message.Summary, r io.ReaderAt) (string, error) {
	part := firstText(s.Root)
	if part == nil {
		return "", nil
	}
	head := *part
	head.End = min(part.End, part.Body+maxPreviewed)
	p := preview{quotes: part.Subtype != "html", begins: true, quoted: gathered{limit: maxPreview - 1}, text: gathered{limit: maxPreview}}
	err := (&texts{r: r, to: &p, buf: make([]byte, 4<<10)}).body(&head)
	if errors.As(err, &foundError{}) {
		err = nil
	}
	if p.text.runes == 0 && p.quoted.runes > 0 {
		return ">" + string(p.quoted.text), err
	}
	return string(p.text.text), err
}

func firstText(p *message.Part) *message.Part {
	if p.Type == "text" {
		return p
	}
	if !p.Multipart() {
		return nil
	}
	if p.Subtype == "alternative" {
		for _, child := range p.Children {
			if child.Type == "text" && child.Subtype == "plain" {
				return child
			}
		}
	}
	for _, child := range p.Children {
		if text := firstText(child); text != nil {
			return text
		}
	}
	return nil
}

// preview takes the text of one part until it has enough.
type preview struct {
	quotes  bool // a line that begins with > is quoted
	begins  bool // at the beginning of a line
	inQuote bool
	tail    []byte // beginning of a rune
	text    gathered
	quoted  gathered // in case there is nothing else
}

func (p *preview) begin(bool, bool) {}

func (p *preview) end() error { return nil }

// Write returns a foundError when the preview is complete.
func (p *preview) Write(b []byte) (int, error) {
	rest := append(p.tail, b...)
	p.tail = nil
	for len(rest) > 0 && !p.text.full() {
		if !utf8.FullRune(rest) {
			p.tail = rest
			return len(b), nil
		}
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case p.begins && p.quotes && r == '>':
			p.inQuote = true
		case p.inQuote:
			p.quoted.add(r)
		default:
			p.text.add(r)
		}
		if p.begins = r == '\n'; p.begins {
			p.inQuote = false
		}
	}
	if p.text.full() {
		return 0, foundError{}
	}
	return len(b), nil
}

// gathered is text with a single space for each run of white space.
type gathered struct {
	text  []byte
	runes int
	blank bool // white space came last
	limit int  // of runes
}

func (g *gathered) add(r rune) {
	switch {
	case unicode.IsSpace(r):
		g.blank = true
		return
	case unicode.IsControl(r), unseen(r), g.full():
		return
	case g.blank && g.runes > 0:
		if g.runes++; g.full() {
			return
		}
		g.text = append(g.text, ' ')
	}
	g.text, g.blank = utf8.AppendRune(g.text, r), false
	g.runes++
}

func (g *gathered) full() bool { return g.runes >= g.limit }
