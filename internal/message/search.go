package message

import (
	"errors"
	"io"
)

// MatchBody reports whether the text of the message contains what m looks for:
// its text parts and reports, decoded, HTML without tags; no header fields, nor
// those of messages in it (RFC 9051 section 6.4.4, BODY). r is the message that
// s was made from.
func (s *Summary) MatchBody(r io.ReaderAt, m *Matcher) (bool, error) {
	return s.match(r, m, false)
}

// MatchText reports whether the headers or the text of the message contain what
// m looks for (RFC 9051 section 6.4.4, TEXT). Headers are looked at as
// "Name: value" with the value decoded.
func (s *Summary) MatchText(r io.ReaderAt, m *Matcher) (bool, error) {
	return s.match(r, m, true)
}

func (s *Summary) match(r io.ReaderAt, m *Matcher, headers bool) (bool, error) {
	if len(m.loose) == 0 {
		return true, nil
	}
	to := stream{m: m}
	err := s.texts(r, &to, headers)
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

// texts writes everything a search looks at to the sink, until there is an
// error; headers, of the message and of its parts, if headers is set.
func (s *Summary) texts(r io.ReaderAt, to sink, headers bool) error {
	t := texts{r: r, to: to, headers: headers}
	return t.part(s.Root)
}

type texts struct {
	r       io.ReaderAt
	to      sink
	headers bool
	buf     []byte
}

func (t *texts) part(p *Part) error {
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

func (t *texts) header(p *Part) error {
	var stop error
	err := eachField(io.NewSectionReader(t.r, p.Header, p.Body-p.Header), func(name, value string) bool {
		if stop = t.line(name + ": " + value); stop == nil {
			// The name of an attachment may be written in a way that only its decoded
			// form shows (RFC 2231).
			if file := fileName(name, value); file != "" {
				stop = t.line(file)
			}
		}
		return stop == nil
	})
	return errors.Join(err, stop)
}

func (t *texts) line(text string) error {
	t.to.begin(true, false)
	if _, err := io.WriteString(t.to, text); err != nil {
		return err
	}
	return t.to.end()
}

func (t *texts) body(p *Part) error {
	var r io.Reader = io.NewSectionReader(t.r, p.Body, p.End-p.Body)
	if decoded, err := Decode(r, p.Encoding); err == nil {
		r = decoded // in an unknown encoding the text is what is there
	}
	r = charsetReader(r, p.Charset)
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
