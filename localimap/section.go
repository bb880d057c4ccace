package localimap

import (
	"bytes"
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
	missing bool // there is no such part
	writeTo func(w io.Writer) error
}

// window is <offset.size> of a section.
type window struct{ offset, size int64 }

// measure finds all sections of one message; file is not read where the index has
// them.
func (f *fetching) measure(file io.ReaderAt, c *mailstore.Content) ([]section, error) {
	parts := make([]section, 0, len(f.items.sections))
	keep := keepGenerated / int64(max(1, len(f.items.sections)))
	for _, item := range f.items.sections {
		if err := f.conn.alive(); err != nil {
			return nil, err
		}
		measure := bodySection
		if item.binary || item.measure {
			measure = binarySection
		}
		s, err := measure(file, c, item, keep)
		if err != nil {
			return nil, err
		}
		parts = append(parts, s)
	}
	return parts, nil
}

// bodySection answers BODY[...].
func bodySection(file io.ReaderAt, c *mailstore.Content, item sectionItem, keep int64) (section, error) {
	var from, to int64
	switch {
	case item.kept && c.Summary.Header.Complete():
		return held(c.Summary.Header.AppendFields(make([]byte, 0, 256), item.fields), item.partial), nil
	case item.kept:
		to = c.Summary.Header.Size
	default:
		var ok bool
		if from, to, ok = locate(c, item.path, item.what); !ok {
			return section{missing: true}, nil
		}
	}
	if len(item.fields) > 0 {
		if from == to {
			return section{writeTo: func(io.Writer) error { return nil }}, nil
		}
		return generated(item.partial, keep, func(w io.Writer) error {
			return message.FilterHeader(w, io.NewSectionReader(file, from, to-from), item.fields, item.not)
		})
	}
	return stored(file, from, to, item.partial), nil
}

// locate returns where a section lies in the message (RFC 9051 section 6.4.5).
// HEADER and TEXT after a part number are those of the message in the part.
func locate(c *mailstore.Content, path []int, what string) (from, to int64, ok bool) {
	if len(path) == 0 && what == "" { // which takes no summary
		return 0, c.Size, true
	}
	header, body, end := int64(0), c.Summary.Root.Body, c.Size
	if len(path) > 0 {
		p := c.Summary.Find(path)
		switch {
		case p == nil:
			return 0, 0, false
		case what == "MIME":
			return p.Header, p.Body, true
		case what == "":
			return p.Body, p.End, true
		case !p.Message() || len(p.Children) == 0:
			return 0, 0, false
		}
		header, body, end = p.Children[0].Header, p.Children[0].Body, p.Children[0].End
	}
	if what == "HEADER" {
		return header, body, true
	}
	return body, end, true
}

// binarySection answers BINARY[...]: the body of a part without its transfer
// encoding (RFC 3516). A part that has parts is sent as it is, and so is
// BINARY[], the whole message.
func binarySection(file io.ReaderAt, c *mailstore.Content, item sectionItem, keep int64) (section, error) {
	if len(item.path) == 0 {
		return stored(file, 0, c.Size, item.partial), nil
	}
	p := c.Summary.Find(item.path)
	if p == nil {
		return section{missing: true}, nil
	}
	if len(p.Children) > 0 {
		return stored(file, p.Body, p.End, item.partial), nil
	}
	if _, err := message.Decode(bytes.NewReader(nil), p.Encoding); err != nil {
		return section{}, no(imap.ResponseCodeUnknownCTE, "Transfer encoding of the part is not known")
	}
	return generated(item.partial, keep, func(w io.Writer) error {
		r, err := message.Decode(io.NewSectionReader(file, p.Body, p.End-p.Body), p.Encoding)
		if err != nil {
			return err
		}
		return copyBytes(w, r)
	})
}

// stored is a section that stands in the file as it is.
func stored(file io.ReaderAt, from, to int64, partial *window) section {
	if read, ok := file.(readFile); ok && 0 <= from && from <= to && to <= int64(len(read)) { // a summary may be wrong
		return held(read[from:to], partial)
	}
	lo, hi := windowOf(partial, max(0, to-from))
	return section{size: hi - lo, writeTo: func(w io.Writer) error {
		return copyBytes(w, io.NewSectionReader(file, from+lo, hi-lo))
	}}
}

// windowOf returns the part of n bytes a client asked for. A beginning beyond the
// end is an empty string (RFC 9051 section 6.4.5).
func windowOf(partial *window, n int64) (lo, hi int64) {
	if partial == nil {
		return 0, n
	}
	lo = min(max(partial.offset, 0), n)
	return lo, lo + min(max(partial.size, 0), n-lo)
}

// keepGenerated is how much of the generated sections of a message is kept
// between measuring and writing, each having its share; a longer one is generated
// twice.
const keepGenerated = 256 << 10

// generated is a section that has to be made, and so measured by making it.
func generated(partial *window, keep int64, generate func(w io.Writer) error) (section, error) {
	m := meter{keep: keep}
	if err := generate(&m); err != nil {
		return section{}, err
	}
	if m.n <= keep {
		return held(m.kept, partial), nil
	}
	lo, hi := windowOf(partial, m.n)
	return section{size: hi - lo, writeTo: func(w io.Writer) error {
		return generate(&slot{w: w, skip: lo, left: hi - lo})
	}}, nil
}

// held is a section that is in memory.
func held(b []byte, partial *window) section {
	lo, hi := windowOf(partial, int64(len(b)))
	return section{size: hi - lo, writeTo: func(w io.Writer) error {
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
	lo := min(s.skip, int64(len(p)))
	part := p[lo : lo+min(s.left, int64(len(p))-lo)]
	s.skip, s.left = s.skip-lo, s.left-int64(len(part))
	if len(part) > 0 {
		if _, err := s.w.Write(part); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

func copyBytes(w io.Writer, r io.Reader) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	_, err := io.CopyBuffer(w, r, *buf)
	return err
}
