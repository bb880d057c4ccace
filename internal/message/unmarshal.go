package message

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

var errSummary = fault.New(fault.Corrupt, "message summary is damaged", "")

// Unmarshal sets what the pieces of b say, those that are not nil. Damaged data
// are a fault of kind Corrupt: then the summary has to be made again from the
// message. What is allocated is in proportion to the data, and b is not kept.
func (s *Summary) Unmarshal(b Binary) error {
	ok := (b.Envelope == nil || s.readEnvelope(b.Envelope)) &&
		(b.Header == nil || s.readHeader(b.Header)) &&
		(b.Structure == nil || s.readStructure(b.Structure))
	if !ok {
		return errSummary
	}
	return nil
}

func (s *Summary) readEnvelope(data []byte) bool {
	r := reader{rest: string(data)} // all strings share this one
	s.Envelope = Envelope{}
	r.envelope(&s.Envelope)
	s.Received = r.date()
	return !r.bad && r.rest == ""
}

func (s *Summary) readHeader(data []byte) bool {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > 1<<48 || len(data) > n && data[len(data)-1] != '\n' {
		return false
	}
	s.Header = Header{Size: int64(size)}
	if len(data) > n {
		s.Header.lines = bytes.Clone(data[n:])
	}
	return true
}

func (s *Summary) readStructure(data []byte) bool {
	r := reader{rest: string(data), parts: len(data) / minPart}
	s.Defects = nil
	if n := r.count(1); n > 0 {
		s.Defects = make([]Defect, n)
		for i := range s.Defects {
			s.Defects[i] = Defect(r.byte())
		}
	}
	s.Root = &Part{}
	r.part(s.Root, 0, 0)
	return !r.bad && r.rest == ""
}

// reader reads the binary form. After an error it returns zero values.
type reader struct {
	rest  string
	parts int // parts that may still come, else nested promises of parts would add up
	bad   bool
}

func (r *reader) fail() {
	r.rest, r.bad = "", true
}

func (r *reader) byte() byte {
	if r.rest == "" {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *reader) uint() uint64 {
	// Most numbers are small.
	if len(r.rest) > 0 && r.rest[0] < 0x80 {
		return uint64(r.byte())
	}
	var n uint64
	for i := 0; i < min(len(r.rest), binary.MaxVarintLen64); i++ {
		c := r.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.fail()
	return 0
}

func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

// size reads an offset or a length.
func (r *reader) size() int64 {
	n := r.uint()
	if n > 1<<48 {
		r.fail()
		return 0
	}
	return int64(n)
}

// count reads a number of things of at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.rest)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.uint()
	if n&1 != 0 {
		if n>>1 < uint64(len(dictionary)) {
			return dictionary[n>>1]
		}
		r.fail()
		return ""
	}
	if n >>= 1; n <= uint64(len(r.rest)) {
		s := r.rest[:n]
		r.rest = r.rest[n:]
		return s
	}
	r.fail()
	return ""
}

func (r *reader) strings() []string {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

func (r *reader) date() time.Time {
	if r.uint() == 0 {
		return time.Time{}
	}
	seconds, minutes := r.int(), r.int()
	if minutes < -24*60-59 || minutes > 24*60+59 {
		r.fail()
		return time.Time{}
	}
	return time.Unix(seconds, 0).In(zone(int(minutes) * 60))
}

func (r *reader) addresses() []Address {
	n := r.count(3)
	if n == 0 {
		return nil
	}
	list := make([]Address, n)
	for i := range list {
		list[i] = Address{Name: r.string(), Mailbox: r.string(), Host: r.string()}
	}
	return list
}

func (r *reader) envelope(e *Envelope) {
	e.Date = r.date()
	e.Subject = r.string()
	e.From = r.addresses()
	e.Sender = r.addresses()
	e.ReplyTo = r.addresses()
	e.To = r.addresses()
	e.Cc = r.addresses()
	e.Bcc = r.addresses()
	e.InReplyTo = r.strings()
	e.MessageID = r.string()
}

func (r *reader) params() map[string]string {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	name, value := r.string(), r.string()
	if shared, ok := charsetParams[value]; ok && n == 1 && name == "charset" {
		return shared
	}
	params := make(map[string]string, n)
	for params[name] = value; n > 1; n-- {
		name = r.string()
		params[name] = r.string()
	}
	return params
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

func (r *reader) part(p *Part, base int64, depth int) {
	bits := r.uint()
	if bits >= partBitsEnd || depth > maxDepth {
		r.fail()
		return
	}
	p.Type = r.string()
	p.Subtype = r.string()
	p.Params = r.params()
	p.Encoding = r.string()
	p.Header = base + r.size()
	p.Body = p.Header + r.size()
	p.End = p.Body + r.size()
	p.Lines = r.size()
	if bits&partID != 0 {
		p.ID = r.string()
	}
	if bits&partDescription != 0 {
		p.Description = r.string()
	}
	if bits&partDisposition != 0 {
		p.Disposition = r.string()
		p.DispositionParams = r.params()
	}
	if bits&partLanguage != 0 {
		p.Language = r.strings()
	}
	if bits&partLocation != 0 {
		p.Location = r.string()
	}
	if bits&partMessage != 0 {
		p.Envelope = &Envelope{}
		r.envelope(p.Envelope)
	}
	if bits&partChildren != 0 {
		r.children(p, depth)
	}
	r.check(p)
}

// minPart is the size of the smallest part in bytes.
const minPart = 9

func (r *reader) children(p *Part, depth int) {
	n := r.count(minPart)
	if r.parts -= n; r.parts < 0 {
		r.fail()
	}
	if n == 0 || r.bad {
		return
	}
	parts := make([]Part, n)
	p.Children = make([]*Part, n)
	for i := range parts {
		p.Children[i] = &parts[i]
		r.part(&parts[i], p.Header, depth+1)
	}
}

// check refuses a part that IMAP could not express.
func (r *reader) check(p *Part) {
	message := p.Type == "message" && p.Subtype == "rfc822"
	switch {
	case p.Type == "" || p.Subtype == "" || p.Encoding == "",
		p.Disposition == "" && p.DispositionParams != nil,
		message != (p.Envelope != nil),
		message && len(p.Children) != 1,
		p.Multipart() != (len(p.Children) > 0 && !message):
		r.fail()
	}
}
