package localimap

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// section is what a literal will carry: its exact length, which goes first, and
// its bytes.
type section struct {
	size    int64
	writeTo func(w io.Writer) error
}

// sections are those of one message, in the order of the FETCH items.
type sections struct {
	body   []section
	binary []section
	sizes  []int64
}

// measure finds all sections of one message; file is not read where the index has
// them.
func (f *fetch) measure(file io.ReaderAt, c *mailstore.Content) (sections, error) {
	var parts sections
	o := f.opt
	keep := keepGenerated / int64(max(1, len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize)))
	for k, item := range o.BodySection {
		if err := context.Cause(f.ctx); err != nil {
			return sections{}, err
		}
		s, err := bodySection(file, c, item, f.kept[k], keep)
		if err != nil {
			return sections{}, err
		}
		parts.body = append(parts.body, s)
	}
	for _, item := range o.BinarySection {
		s, err := binarySection(file, c, item.Part, item.Partial, keep)
		if err != nil {
			return sections{}, err
		}
		parts.binary = append(parts.binary, s)
	}
	for _, item := range o.BinarySectionSize {
		s, err := binarySection(file, c, item.Part, nil, keep)
		if err != nil {
			return sections{}, err
		}
		parts.sizes = append(parts.sizes, s.size)
	}
	return parts, nil
}

// bodySection answers BODY[...]. A part that does not exist is empty; the
// library cannot write NIL. kept says that the fields asked for are among those
// that the index keeps.
func bodySection(file io.ReaderAt, c *mailstore.Content, item *imap.FetchItemBodySection, kept bool, keep int64) (section, error) {
	var from, to int64
	switch {
	case kept && c.Summary.Header.Complete():
		return held(c.Summary.Header.AppendFields(make([]byte, 0, 256), item.HeaderFields), item.Partial), nil
	case kept:
		to = c.Summary.Header.Size
	default:
		from, to = locate(c, item.Part, item.Specifier)
	}
	if item.Specifier == imap.PartSpecifierHeader && len(item.HeaderFields)+len(item.HeaderFieldsNot) > 0 {
		fields, not := item.HeaderFields, false
		if len(fields) == 0 {
			fields, not = item.HeaderFieldsNot, true
		}
		if from == to {
			return section{writeTo: func(io.Writer) error { return nil }}, nil
		}
		return generated(item.Partial, keep, func(w io.Writer) error {
			return message.FilterHeader(w, io.NewSectionReader(file, from, to-from), fields, not)
		})
	}
	return stored(file, from, to, item.Partial), nil
}

// locate returns where a section lies in the message (RFC 9051 section 6.4.5).
// HEADER and TEXT after a part number are those of the message in the part.
func locate(c *mailstore.Content, path []int, what imap.PartSpecifier) (from, to int64) {
	if len(path) == 0 {
		switch what {
		case imap.PartSpecifierHeader:
			return 0, c.Summary.Root.Body
		case imap.PartSpecifierText:
			return c.Summary.Root.Body, c.Size
		case imap.PartSpecifierNone, imap.PartSpecifierMIME:
		}
		return 0, c.Size
	}
	p := c.Summary.Find(path)
	if p == nil {
		return 0, 0
	}
	switch what {
	case imap.PartSpecifierMIME:
		return p.Header, p.Body
	case imap.PartSpecifierNone:
		return p.Body, p.End
	case imap.PartSpecifierHeader, imap.PartSpecifierText:
	}
	if !p.Message() || len(p.Children) == 0 {
		return 0, 0
	}
	inner := p.Children[0]
	if what == imap.PartSpecifierHeader {
		return inner.Header, inner.Body
	}
	return inner.Body, inner.End
}

// binarySection answers BINARY[...]: the body of a part without its transfer
// encoding (RFC 3516). A part that has parts is sent as it is, and so is
// BINARY[], the whole message.
func binarySection(file io.ReaderAt, c *mailstore.Content, path []int, partial *imap.SectionPartial, keep int64) (section, error) {
	if len(path) == 0 {
		return stored(file, 0, c.Size, partial), nil
	}
	p := c.Summary.Find(path)
	if p == nil {
		return stored(file, 0, 0, partial), nil
	}
	if len(p.Children) > 0 {
		return stored(file, p.Body, p.End, partial), nil
	}
	if _, err := message.Decode(bytes.NewReader(nil), p.Encoding); err != nil {
		return section{}, no(imap.ResponseCodeUnknownCTE, "Transfer encoding of the part is not known")
	}
	return generated(partial, keep, func(w io.Writer) error {
		r, err := message.Decode(io.NewSectionReader(file, p.Body, p.End-p.Body), p.Encoding)
		if err != nil {
			return err
		}
		return copyBytes(w, r)
	})
}

// stored is a section that stands in the file as it is.
func stored(file io.ReaderAt, from, to int64, partial *imap.SectionPartial) section {
	lo, hi := window(partial, max(0, to-from))
	return section{hi - lo, func(w io.Writer) error {
		return copyBytes(w, io.NewSectionReader(file, from+lo, hi-lo))
	}}
}

// window returns the part of n bytes a client asked for. A beginning beyond the
// end is an empty string (RFC 9051 section 6.4.5).
func window(partial *imap.SectionPartial, n int64) (lo, hi int64) {
	if partial == nil {
		return 0, n
	}
	lo = min(max(partial.Offset, 0), n)
	return lo, lo + min(max(partial.Size, 0), n-lo)
}

// keepGenerated is how much of the generated sections of a message is kept
// between measuring and writing, each having its share; a longer one is generated
// twice.
const keepGenerated = 256 << 10

// generated is a section that has to be made, and so measured by making it.
func generated(partial *imap.SectionPartial, keep int64, generate func(w io.Writer) error) (section, error) {
	m := meter{keep: keep}
	if err := generate(&m); err != nil {
		return section{}, err
	}
	if m.n <= keep {
		return held(m.kept, partial), nil
	}
	lo, hi := window(partial, m.n)
	return section{hi - lo, func(w io.Writer) error {
		return generate(&slot{w: w, skip: lo, left: hi - lo})
	}}, nil
}

// held is a section that is in memory.
func held(b []byte, partial *imap.SectionPartial) section {
	lo, hi := window(partial, int64(len(b)))
	return section{hi - lo, func(w io.Writer) error {
		_, err := w.Write(b[lo:hi])
		return err
	}}
}

// meter counts what is written to it and keeps it while it is short.
type meter struct {
	keep int64
	n    int64
	kept []byte
}

func (m *meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	if m.n <= m.keep {
		m.kept = append(m.kept, p...)
	} else {
		m.kept = nil
	}
	return len(p), nil
}

// slot passes on a window of what is written to it.
type slot struct {
	w          io.Writer
	skip, left int64
}

func (s *slot) Write(p []byte) (int, error) {
	n := len(p)
	skipped := min(s.skip, int64(len(p)))
	s.skip -= skipped
	p = p[skipped:]
	p = p[:min(s.left, int64(len(p)))]
	if len(p) > 0 {
		if _, err := s.w.Write(p); err != nil {
			return 0, err
		}
		s.left -= int64(len(p))
	}
	return n, nil
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

func copyBytes(w io.Writer, r io.Reader) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	_, err := io.CopyBuffer(w, r, *buf)
	return err
}
