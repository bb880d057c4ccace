package message

import "io"

// MatchBody reports whether the text of the message contains what m looks for:
// its text parts, decoded, HTML without tags, and the headers of messages in it
// (RFC 9051 section 6.4.4, BODY). r is the message that s was made from.
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
	if len(m.needle) == 0 {
		return true, nil
	}
	q := query{r: r, m: m, headers: headers, text: stream{m: m}}
	return q.part(s.Root, headers)
}

// query is one search in one message.
type query struct {
	r       io.ReaderAt
	m       *Matcher
	headers bool // of all parts, not only of messages in the message
	text    stream
	buf     []byte
}

// part looks into p, and into its header where header is set.
func (q *query) part(p *Part, header bool) (bool, error) {
	if header {
		if found, err := q.header(p); found || err != nil {
			return found, err
		}
	}
	if p.Type == "text" {
		return q.body(p)
	}
	for _, child := range p.Children {
		if found, err := q.part(child, q.headers || p.Message()); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func (q *query) header(p *Part) (bool, error) {
	found := false
	err := eachField(io.NewSectionReader(q.r, p.Header, p.Body-p.Header), func(name, value string) bool {
		found = q.m.Match(name + ": " + value)
		return !found
	})
	if found || err != nil {
		return found, err
	}
	// The name of an attachment may be written in a way that only its decoded
	// form shows (RFC 2231).
	return q.m.Match(p.Params["name"]) || q.m.Match(p.DispositionParams["filename"]), nil
}

func (q *query) body(p *Part) (bool, error) {
	var r io.Reader = io.NewSectionReader(q.r, p.Body, p.End-p.Body)
	if decoded, err := Decode(r, p.Encoding); err == nil {
		r = decoded // in an unknown encoding the text is what is there
	}
	r = charsetReader(r, p.Params["charset"])
	if q.buf == nil {
		q.buf = make([]byte, 16<<10)
	}
	var err error
	if p.Subtype == "html" {
		h := htmlText{w: &q.text}
		if _, err = io.CopyBuffer(&h, r, q.buf); err == nil {
			err = h.end()
		}
	} else {
		_, err = io.CopyBuffer(&q.text, r, q.buf)
	}
	if _, found := err.(foundError); found {
		return true, nil
	}
	return q.text.end(), err
}
