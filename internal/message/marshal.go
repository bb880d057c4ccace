package message

import (
	"encoding/binary"

	"github.com/popbridge/popbridge/internal/fault"
)

// The stored form of a Summary comes in pieces:
//
//	envelope   the text of ENVELOPE
//	header     size, then the lines to the end
//	structure  size of the tree, the tree of parts, the text of BODYSTRUCTURE
//
// Numbers are varints. A string is 2*length and its bytes, or 2*i+1 for word i
// of the dictionary. Children follow their number. A part is its values; its body
// starts and ends relative to its header, and that relative to the header of the
// part around it. A codec writes all that or reads it, so that it is said once.

// dictionary are strings that trees are full of. It may grow at its end only;
// anything else needs another SummaryVersion.
var dictionary = [...]string{
	"text", "plain", "html", "multipart", "alternative", "mixed", "related", "signed", "report", "message",
	"rfc822", "delivery-status", "application", "octet-stream", "pdf", "zip", "image", "png", "jpeg", "gif",
	"calendar", "7bit", "8bit", "binary", "base64", "quoted-printable", "", "utf-8", "us-ascii", "iso-8859-1",
	"windows-1252", "UTF-8", "US-ASCII", "ISO-8859-1",
}

var dictionaryIndex = func() map[string]int {
	index := make(map[string]int, len(dictionary))
	for i, word := range dictionary {
		index[word] = i
	}
	return index
}()

// Binary is a Summary of this SummaryVersion as it is stored, in pieces each of
// which can be read without the others.
type Binary struct{ Envelope, Header, Structure []byte }

// Marshal returns the stored form of s.
func (s *Summary) Marshal() Binary {
	tree := codec{out: make([]byte, 0, 64)}
	tree.part(s.Root, 0, 0)
	structure := binary.AppendUvarint(make([]byte, 0, len(tree.out)+len(s.Structure)+4), uint64(len(tree.out)))
	header := binary.AppendUvarint(make([]byte, 0, len(s.Header.lines)+4), uint64(s.Header.Size))
	return Binary{s.Envelope, append(header, s.Header.lines...), append(append(structure, tree.out...), s.Structure...)}
}

var errSummary = fault.New(fault.Corrupt, "message summary is damaged", "")

// Unmarshal sets what the pieces of b say, those that are not nil; the tree only if
// tree is set. Damaged data are a fault of kind Corrupt: then the summary has to be
// made again from the message. What is allocated is in proportion to the data. s
// keeps parts of b.
func (s *Summary) Unmarshal(b Binary, tree bool) error {
	ok := b.Header == nil || s.Header.unmarshal(b.Header)
	if b.Envelope != nil {
		s.Envelope = b.Envelope
		ok = ok && inParentheses(b.Envelope)
	}
	if b.Structure != nil {
		ok = ok && s.unmarshalStructure(b.Structure, tree)
	}
	if !ok {
		return errSummary
	}
	return nil
}

// inParentheses reports whether text may be one that was made here.
func inParentheses(text []byte) bool {
	return len(text) > 2 && text[0] == '(' && text[len(text)-1] == ')'
}

func (s *Summary) unmarshalStructure(data []byte, tree bool) bool {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return false
	}
	data = data[n:]
	if s.Structure = data[size:]; !inParentheses(s.Structure) {
		return false
	}
	if !tree {
		return true
	}
	c := codecOf(data[:size])
	s.Root = &Part{}
	c.part(s.Root, 0, 0)
	return c.done()
}

func (h *Header) unmarshal(data []byte) bool {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > 1<<48 || len(data) > n && data[len(data)-1] != '\n' {
		return false
	}
	*h = Header{Size: int64(size)}
	if len(data) > n {
		h.lines = data[n:]
	}
	return true
}

// codec writes what it is given a pointer to, or reads it there. After an error
// of reading it sets zero values.
type codec struct {
	reading bool
	out     []byte
	in      string
	parts   int // that may still come, else nested promises of parts would add up
	bad     bool
}

// codecOf reads data.
func codecOf(data []byte) codec {
	return codec{reading: true, in: string(data), parts: len(data) / minPart} // all strings share this one
}

// done reports whether all was read and nothing was wrong.
func (c *codec) done() bool { return !c.bad && c.in == "" }

// minPart is the size of the smallest part in bytes.
const minPart = 9

func (c *codec) part(p *Part, base int64, depth int) {
	if depth > maxDepth {
		c.fail()
		return
	}
	c.text(&p.Type)
	c.text(&p.Subtype)
	c.text(&p.Encoding)
	c.text(&p.Charset)
	c.flag(&p.Flowed)
	c.offset(&p.Header, base)
	c.offset(&p.Body, p.Header)
	c.offset(&p.End, p.Body)
	c.children(p, depth)
}

func (c *codec) children(p *Part, depth int) {
	n := c.count(len(p.Children), minPart)
	if c.reading {
		// IMAP could not express anything else.
		if c.parts -= n; c.parts < 0 || p.Type == "" || p.Subtype == "" || p.Encoding == "" ||
			p.Message() && n != 1 || p.Multipart() != (n > 0 && !p.Message()) {
			c.fail()
			return
		}
		if n > 0 {
			parts := make([]Part, n)
			p.Children = make([]*Part, n)
			for i := range parts {
				p.Children[i] = &parts[i]
			}
		}
	}
	for _, child := range p.Children {
		c.part(child, p.Header, depth+1)
	}
}

func (c *codec) fail() { c.in, c.bad = "", true }

func (c *codec) number(n *uint64) {
	switch {
	case !c.reading:
		c.out = binary.AppendUvarint(c.out, *n)
		return
	case len(c.in) > 0 && c.in[0] < 0x80: // most numbers are small
		*n, c.in = uint64(c.in[0]), c.in[1:]
		return
	}
	*n = 0
	for i := 0; i < min(len(c.in), binary.MaxVarintLen64); i++ {
		b := c.in[i]
		*n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			c.in = c.in[i+1:]
			return
		}
	}
	*n = 0
	c.fail()
}

func (c *codec) flag(b *bool) {
	var n uint64
	if *b {
		n = 1
	}
	if c.number(&n); c.reading {
		*b = n == 1
	}
	if n > 1 {
		c.fail()
	}
}

// offset is an offset or a length, relative to base.
func (c *codec) offset(n *int64, base int64) {
	u := uint64(*n - base)
	if c.number(&u); !c.reading {
		return
	}
	if u > 1<<48 {
		c.fail()
		u = 0
	}
	*n = base + int64(u)
}

// count is a number of things of at least size bytes each.
func (c *codec) count(n, size int) int {
	u := uint64(n)
	if c.number(&u); c.reading && u > uint64(len(c.in)/size) {
		c.fail()
		return 0
	}
	return int(u)
}

func (c *codec) text(s *string) {
	var n uint64
	if !c.reading {
		if i, ok := dictionaryIndex[*s]; ok {
			n = uint64(i)<<1 | 1
			c.number(&n)
			return
		}
		n = uint64(len(*s)) << 1
		c.number(&n)
		c.out = append(c.out, *s...)
		return
	}
	c.number(&n)
	switch word := n&1 != 0; {
	case word && n>>1 < uint64(len(dictionary)):
		*s = dictionary[n>>1]
	case !word && n>>1 <= uint64(len(c.in)):
		*s, c.in = c.in[:n>>1], c.in[n>>1:]
	default:
		*s = ""
		c.fail()
	}
}
