package textindex

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/popbridge/popbridge/internal/mailtext"
)

// cursor reads a segment term by term.
type cursor struct {
	r        *bufio.Reader
	term     []byte // empty at the end
	postings []byte
	number   []int // of each content in the merged segment, -1 for none
}

func (c *cursor) next() (err error) {
	if c.term, err = c.take(c.term[:0], true); err == nil {
		c.postings, err = c.take(c.postings[:0], false)
	}
	return err
}

func (c *cursor) take(dst []byte, term bool) ([]byte, error) {
	for {
		b, err := c.r.ReadByte()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		if b >= mailtext.TermByte != term {
			return dst, c.r.UnreadByte()
		}
		dst = append(dst, b)
	}
}

// merge makes one segment of several, without the contents that are gone. There
// may be none left, and then no segment.
func merge(ctx context.Context, dir string, from []*segment) (*segment, error) {
	var docs []indexed
	cursors := make([]*cursor, len(from))
	for k, g := range from {
		c := &cursor{r: bufio.NewReaderSize(io.NewSectionReader(g.file, g.start, g.end-g.start), 1<<16)}
		for _, d := range g.docs {
			if d.id == 0 {
				c.number = append(c.number, -1)
				continue
			}
			c.number = append(c.number, len(docs))
			docs = append(docs, d)
		}
		if err := c.next(); err != nil {
			return nil, err
		}
		cursors[k] = c
	}
	if len(docs) == 0 {
		return nil, nil
	}
	return writeSegment(dir, docs, func(put func(term, postings []byte)) error { return mergeTerms(ctx, cursors, put) })
}

func mergeTerms(ctx context.Context, cursors []*cursor, put func(term, postings []byte)) error {
	var p postings
	for {
		cursors = slices.DeleteFunc(cursors, func(c *cursor) bool { return len(c.term) == 0 })
		if len(cursors) == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		term := slices.Clone(slices.MinFunc(cursors, func(a, b *cursor) int { return bytes.Compare(a.term, b.term) }).term)
		p.bytes, p.next = p.bytes[:0], 0
		for _, c := range cursors {
			if !bytes.Equal(c.term, term) {
				continue
			}
			eachPosting(c.postings, func(n int, body bool) {
				if n < len(c.number) && c.number[n] >= 0 {
					p.add(c.number[n], body)
				}
			})
			if err := c.next(); err != nil {
				return err
			}
		}
		if len(p.bytes) > 0 {
			put(term, p.bytes)
		}
	}
}
