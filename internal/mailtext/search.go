package mailtext

import (
	"io"
	"slices"

	"github.com/popbridge/popbridge/internal/message"
)

// MatchBody reports whether the text of a message contains the needle: its text
// parts and reports, decoded, HTML without tags; no header fields, nor those of
// messages in it (RFC 9051 section 6.4.4, BODY). r is the message that s was made
// from.
func (m *Matcher) MatchBody(s *message.Summary, r io.ReaderAt) (bool, error) {
	return m.matchTexts(s, r, false)
}

// MatchText reports whether the headers or the text of a message contain the
// needle (RFC 9051 section 6.4.4, TEXT). Headers are looked at as "Name: value"
// with the value decoded.
func (m *Matcher) MatchText(s *message.Summary, r io.ReaderAt) (bool, error) {
	return m.matchTexts(s, r, true)
}

func (m *Matcher) matchTexts(s *message.Summary, r io.ReaderAt, headers bool) (bool, error) {
	if len(m.loose) == 0 {
		return true, nil
	}
	to := stream{m: m}
	err := readTexts(s, r, &to, headers)
	if to.found {
		err = nil
	}
	return to.found, err
}

// sink takes the texts of a message, one after the other. What is not found in
// one text is not in the message: nothing goes across their borders.
type sink interface {
	begin(loose, body bool) // loose: see Matcher; body: it counts for BODY
	io.Writer
	end() error
}

// readTexts writes everything a search looks at to the sink, until there is an
// error; headers, of the message and of its parts, if headers is set.
func readTexts(s *message.Summary, r io.ReaderAt, to sink, headers bool) error {
	t := texts{r: r, to: to, headers: headers}
	return t.part(s.Root)
}

type texts struct {
	r       io.ReaderAt
	to      sink
	headers bool
	buf     []byte
}

func (t *texts) part(p *message.Part) error {
	if t.headers {
		if err := t.header(p); err != nil {
			return err
		}
	}
	if p.Type == "text" || p.Type == "message" && !p.Message() {
		return t.body(p)
	}
	for _, child := range p.Children {
		if err := t.part(child); err != nil {
			return err
		}
	}
	return nil
}

func (t *texts) header(p *message.Part) error {
	h, err := message.ReadHeader(io.NewSectionReader(t.r, p.Header, p.Body-p.Header))
	if err != nil {
		return err
	}
	for f := range h.Fields() {
		if err := t.line(slices.Concat(f.Name, []byte(": "), f.Text())); err != nil {
			return err
		}
		// The name of an attachment may be written in a way that only its decoded
		// form shows (RFC 2231).
		if file := f.FileName(); file != "" {
			if err := t.line([]byte(file)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *texts) line(text []byte) error {
	t.to.begin(true, false)
	if _, err := t.to.Write(text); err != nil {
		return err
	}
	return t.to.end()
}

func (t *texts) body(p *message.Part) error {
	r := p.Text(t.r)
	if t.buf == nil {
		t.buf = make([]byte, 16<<10)
	}
	html := p.Subtype == "html"
	// RFC 3676 section 4: a line that flows on ends with a space, which is the one
	// between two words.
	t.to.begin(html || p.Flowed, true)
	if html {
		h := htmlText{w: t.to}
		if _, err := io.CopyBuffer(&h, r, t.buf); err != nil {
			return err
		}
		if err := h.end(); err != nil {
			return err
		}
	} else if _, err := io.CopyBuffer(t.to, r, t.buf); err != nil {
		return err
	}
	return t.to.end()
}
