package message

import (
	"bytes"
	"io"
	"strings"
)

// parser builds a Summary while it reads a message once.
type parser struct {
	*scanner
	sum       *Summary
	header    []byte // buffer of the header being read
	out       []byte // BODYSTRUCTURE so far
	headers   int    // bytes of headers that may still be looked at
	kept      int    // bytes of text that may still be kept
	addresses int    // addresses that may still be kept
	parts     int
}

// Parse reads the message of the given size and says what it is. It never
// fails, and an error of r ends the message.
func Parse(r io.ReaderAt, size int64) *Summary {
	p := parser{
		scanner:   newScanner(r, size),
		sum:       &Summary{},
		headers:   maxHeaders,
		kept:      maxKept,
		addresses: maxAddresses,
	}
	defer p.close()
	p.sum.Root, _ = p.part(0, whole)
	p.sum.Structure = p.out
	return p.sum
}

// keep returns text as far as the limit of kept text allows, nil beyond it.
func (p *parser) keep(text []byte) []byte {
	if len(text) > p.kept {
		return nil
	}
	p.kept -= len(text)
	return text
}

// role is what a part is in the one around it.
type role uint8

const (
	whole    role = iota // it is the message
	message              // the message in a message/rfc822
	ordinary             // of a multipart
	digest               // of a multipart/digest
)

// part reads the part that starts here and what is in it, and appends its
// structure. It returns the delimiter that ended it.
func (p *parser) part(depth int, as role) (*Part, delimiter) {
	p.parts++
	part := &Part{Header: p.pos}
	var lines int64 // before the body
	raw, blank, cut, d := p.readHeader(p.header, min(maxHeader, p.headers), as)
	p.header = raw
	p.headers -= len(raw)
	c := p.fields(raw, as)
	if as == whole {
		p.keepHeader(raw, blank, cut)
	}
	c.describe(part, as == digest)
	start := len(p.out)
	p.out = append(p.out, '(')
	if blank {
		part.Body = p.pos
		lines = p.lines
		d = p.body(part, c, depth)
	} else {
		part.Body, lines = p.end, p.endLines
		p.empty(part)
	}
	headerCut := !blank || part.Body > p.end
	part.Header, part.Body, part.End = min(part.Header, p.end), min(part.Body, p.end), p.end
	part.Lines = p.endLines - min(lines, p.endLines)
	if !blank && len(raw) == 0 {
		headerCut = false // it is the end of the header around it that is cut off
	}
	if headerCut && p.cutOff > 0 { // the line end after the header belongs to what is around it
		p.end, p.endLines, p.cutOff = p.end+int64(p.cutOff), p.endLines+1, 0
	}
	p.structure(part, c, start)
	return part, d
}

// body reads the body of a part and what is in it.
func (p *parser) body(part *Part, c *content, depth int) delimiter {
	switch {
	case part.Multipart():
		boundary, ok := lookup(c.list, "boundary")
		if ok && p.room(part, c, depth) {
			return p.multipart(part, boundary, depth)
		}
	case part.Message() && p.room(part, c, depth):
		child, d := p.part(depth+1, message)
		part.Children = []*Part{child}
		return d
	}
	d := p.skip(len(p.open))
	p.empty(part)
	return d
}

// room reports whether there is room for what is in part. Where there is none
// part becomes opaque.
func (p *parser) room(part *Part, c *content, depth int) bool {
	if depth+1 < maxDepth && p.parts < maxParts {
		return true
	}
	part.Type, part.Subtype = "application", "octet-stream"
	c.typed, c.kind, c.subtype = true, part.Type, part.Subtype
	return false
}

// multipart reads the parts of a multipart.
func (p *parser) multipart(part *Part, boundary string, depth int) delimiter {
	level := len(p.open)
	p.open = append(p.open, []byte(boundary[:min(len(boundary), maxBoundary)]))
	as := ordinary
	if part.Subtype == "digest" {
		as = digest
	}
	d := p.skip(level) // the preamble
	for d.level == level && !d.last && !p.cutShort() {
		if p.parts >= maxParts {
			d = p.skip(0)
			continue
		}
		var child *Part
		child, d = p.part(depth+1, as)
		part.Children = append(part.Children, child)
	}
	p.open = p.open[:level]
	if d.level == level {
		d = p.skip(0) // the epilogue
	}
	p.empty(part)
	return d
}

// empty gives a multipart without parts an empty one and a message without
// content an empty one, because IMAP cannot express them otherwise (RFC 9051
// section 9, body-type-mpart and body-type-msg).
func (p *parser) empty(part *Part) {
	if len(part.Children) > 0 || !part.Multipart() && !part.Message() {
		return
	}
	if part.Message() {
		p.out = append(append(p.out, emptyEnvelope...), ' ')
	}
	p.out = append(p.out, emptyText...)
	part.Children = []*Part{{Type: "text", Subtype: "plain", Encoding: "7bit", Header: p.end, Body: p.end, End: p.end}}
}

// fields reads the fields of a header that are of use. Those of the envelope are
// appended to the structure where that has them.
func (p *parser) fields(raw []byte, as role) *content {
	c := &content{}
	mime := as >= ordinary
	var envelope envelopeTexts
	for len(raw) > 0 {
		var name, value []byte
		name, value, raw = nextField(raw)
		lower := strings.ToLower(string(name[:min(len(name), maxWord)]))
		if id, ok := envelopeNames[lower]; ok && as <= message {
			p.envelopeField(&envelope, id, fieldValue(value))
		} else if after, ok := strings.CutPrefix(lower, "content-"); ok {
			mime = mime || after == "type"
			p.contentField(c, after, fieldValue(value))
		} else if lower == "mime-version" {
			mime = true
		} else if lower == "received" && as == whole && p.sum.Received.IsZero() {
			// RFC 5322 section 3.6.7: the date follows the last semicolon.
			p.sum.Received, _ = parseDate(unfold(value[bytes.LastIndexByte(value, ';')+1:]))
		}
	}
	switch as {
	case whole:
		p.sum.Envelope = p.envelope(&envelope)
	case message:
		p.out = append(append(p.out, p.envelope(&envelope)...), ' ')
	}
	if !mime { // RFC 2045 section 4
		return &content{}
	}
	return c
}
