package message

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// The binary form of a Summary comes in pieces:
//
//	envelope   date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to,
//	           message-id, date of Received
//	header     size, then the lines to the end
//	structure  part
//
// Numbers are varints. A string is 2*length and its bytes, or 2*i+1 for word i
// of the dictionary. A date is 0 for none, else 1, seconds since 1970 and
// minutes east of Greenwich. Addresses, strings of a list, parameters and
// children follow their number. A part is its values; its body starts and ends
// relative to its header, and that relative to the header of the part around it.
// A codec writes all that or reads it, so that it is said once.

// dictionary are strings that summaries are full of. It may grow at its end
// only; anything else needs another SummaryVersion.
var dictionary = [...]string{
	"text", "plain", "html", "multipart", "alternative", "mixed", "related", "signed", "report", "message",
	"rfc822", "delivery-status", "application", "octet-stream", "pdf", "zip", "image", "png", "jpeg", "gif",
	"calendar", "7bit", "8bit", "binary", "base64", "quoted-printable", "charset", "utf-8", "us-ascii", "iso-8859-1",
	"windows-1252", "UTF-8", "US-ASCII", "ISO-8859-1", "boundary", "name", "filename", "attachment", "inline", "format",
	"flowed", "delsp", "yes", "method", "REQUEST", "type", "text/plain", "text/html", "multipart/alternative", "micalg",
	"protocol", "report-type", "size", "creation-date", "modification-date", missingMailbox, missingDomain,
	"gmail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "github.com",
}

var dictionaryIndex = func() map[string]int {
	index := make(map[string]int, len(dictionary))
	for i, word := range dictionary {
		index[word] = i
	}
	return index
}()

// Binary is a Summary of this SummaryVersion in its compact form, in pieces each
// of which can be read without the others.
type Binary struct{ Envelope, Header, Structure []byte }

// Marshal returns the compact form of s.
func (s *Summary) Marshal() Binary {
	envelope, structure := codec{out: make([]byte, 0, 256)}, codec{out: make([]byte, 0, 128)}
	envelope.envelope(s)
	structure.structure(s)
	header := binary.AppendUvarint(make([]byte, 0, len(s.Header.lines)+4), uint64(s.Header.Size))
	return Binary{envelope.out, append(header, s.Header.lines...), structure.out}
}

var errSummary = fault.New(fault.Corrupt, "message summary is damaged", "")

// Unmarshal sets what the pieces of b say, those that are not nil. Damaged data
// are a fault of kind Corrupt: then the summary has to be made again from the
// message. What is allocated is in proportion to the data, and b is not kept.
func (s *Summary) Unmarshal(b Binary) error {
	ok := b.Header == nil || s.Header.unmarshal(b.Header)
	if b.Envelope != nil {
		c := codecOf(b.Envelope)
		c.envelope(s)
		ok = ok && c.done()
	}
	if b.Structure != nil {
		c := codecOf(b.Structure)
		c.structure(s)
		ok = ok && c.done()
	}
	if !ok {
		return errSummary
	}
	return nil
}

func (h *Header) unmarshal(data []byte) bool {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > 1<<48 || len(data) > n && data[len(data)-1] != '\n' {
		return false
	}
	*h = Header{Size: int64(size)}
	if len(data) > n {
		h.lines = bytes.Clone(data[n:])
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

func (c *codec) envelope(s *Summary) {
	c.headings(&s.Envelope)
	c.date(&s.Received)
}

func (c *codec) structure(s *Summary) {
	if c.reading {
		s.Root = &Part{}
	}
	c.part(s.Root, 0, 0)
}

func (c *codec) headings(e *Envelope) {
	c.date(&e.Date)
	c.text(&e.Subject)
	for _, addresses := range []*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		list(c, addresses, 3, func(a *Address) {
			c.text(&a.Name)
			c.text(&a.Mailbox)
			c.text(&a.Host)
		})
	}
	list(c, &e.InReplyTo, 1, c.text)
	c.text(&e.MessageID)
}

// minPart is the size of the smallest part in bytes.
const minPart = 15

func (c *codec) part(p *Part, base int64, depth int) {
	if depth > maxDepth {
		c.fail()
		return
	}
	c.text(&p.Type)
	c.text(&p.Subtype)
	c.params(&p.Params)
	c.text(&p.Encoding)
	c.offset(&p.Header, base)
	c.offset(&p.Body, p.Header)
	c.offset(&p.End, p.Body)
	c.offset(&p.Lines, 0)
	c.text(&p.ID)
	c.text(&p.Description)
	c.text(&p.Disposition)
	c.params(&p.DispositionParams)
	list(c, &p.Language, 1, c.text)
	c.text(&p.Location)
	if p.Type == "message" && p.Subtype == "rfc822" {
		if c.reading {
			p.Envelope = &Envelope{}
		}
		c.headings(p.Envelope)
	}
	c.children(p, depth)
}

func (c *codec) children(p *Part, depth int) {
	n := c.count(len(p.Children), minPart)
	if c.reading {
		// IMAP could not express anything else.
		if c.parts -= n; c.parts < 0 || p.Type == "" || p.Subtype == "" || p.Encoding == "" ||
			p.Disposition == "" && p.DispositionParams != nil || p.Message() && n != 1 || p.Multipart() != (n > 0 && !p.Message()) {
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

// signed is a number that may be negative.
func (c *codec) signed(n *int64) {
	u := uint64(*n)<<1 ^ uint64(*n>>63)
	if c.number(&u); c.reading {
		*n = int64(u>>1) ^ -int64(u&1)
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

func list[T any](c *codec, s *[]T, size int, each func(*T)) {
	if n := c.count(len(*s), size); c.reading {
		if *s = nil; n > 0 {
			*s = make([]T, n)
		}
	}
	for i := range *s {
		each(&(*s)[i])
	}
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

func (c *codec) date(t *time.Time) {
	var have uint64
	if !t.IsZero() {
		have = 1
	}
	_, offset := t.Zone()
	seconds, minutes := t.Unix(), int64(offset/60)
	if c.number(&have); have != 0 {
		c.signed(&seconds)
		c.signed(&minutes)
	}
	if !c.reading {
		return
	}
	switch *t = (time.Time{}); {
	case minutes < -24*60-59 || minutes > 24*60+59:
		c.fail()
	case have != 0:
		*t = time.Unix(seconds, 0).In(zone(int(minutes) * 60))
	}
}

func (c *codec) params(params *map[string]string) {
	n := c.count(len(*params), 2)
	if !c.reading {
		for _, name := range slices.Sorted(maps.Keys(*params)) {
			value := (*params)[name]
			c.text(&name)
			c.text(&value)
		}
		return
	}
	*params = nil
	for range n {
		var name, value string
		c.text(&name)
		c.text(&value)
		if shared, ok := charsetParams[value]; ok && n == 1 && name == "charset" {
			*params = shared
			return
		}
		if *params == nil {
			*params = make(map[string]string, n)
		}
		(*params)[name] = value
	}
}

// charsetParams are the parameters that most parts have; a map is the largest
// thing a part consists of. They are never written to.
var charsetParams = func() map[string]map[string]string {
	shared := make(map[string]map[string]string)
	for _, charset := range []string{"utf-8", "us-ascii", "iso-8859-1", "windows-1252", "UTF-8", "US-ASCII", "ISO-8859-1"} {
		shared[charset] = map[string]string{"charset": charset}
	}
	return shared
}()
