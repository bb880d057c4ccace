package message

import (
	"io"
)

// parser builds a Summary while it reads a message once.
type parser struct {
	*scanner
	sum       *Summary
	header    []byte // buffer of the header being read
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
	p.sum.Root, _ = p.part(0, &p.sum.Envelope, false)
	return p.sum
}

// keep returns s as far as the limit of kept text allows.
func (p *parser) keep(s string) string {
	if len(s) > p.kept {
		return ""
	}
	p.kept -= len(s)
	return s
}

// part reads the part that starts here and what is in it. It returns the
// delimiter that ended it. envelope is set for a part that is a message, digest
// for a part of a multipart/digest.
func (p *parser) part(depth int, envelope *Envelope, digest bool) (*Part, delimiter) {
	p.parts++
	part := &Part{Header: p.pos}
	var lines int64 // before the body
	raw, blank, cut, d := p.readHeader(p.header, min(maxHeader, p.headers))
	p.header = raw
	p.headers -= len(raw)
	h := p.fields(raw, depth == 0)
	if envelope != nil {
		p.envelope(h, envelope)
	}
	if depth == 0 {
		p.top(h, raw, blank, cut)
	}
	p.content(h, part, digest)
	if blank {
		part.Body = p.pos
		lines = p.lines
		d = p.body(part, depth)
	} else {
		part.Body, lines = p.end, p.endLines
		p.empty(part)
	}
	// RFC 2046 section 5.1.1: the line end before a boundary belongs to it, also
	// where it is the blank line after a header.
	part.Header, part.Body, part.End = min(part.Header, p.end), min(part.Body, p.end), p.end
	part.Lines = p.endLines - min(lines, p.endLines)
	return part, d
}

// body reads the body of a part and what is in it.
func (p *parser) body(part *Part, depth int) delimiter {
	switch part.Type {
	case "multipart":
		if _, ok := part.Params["boundary"]; !ok {
			break
		}
		if p.room(part, depth) {
			return p.multipart(part, depth)
		}
	case "message":
		if part.Subtype == "rfc822" && p.room(part, depth) {
			part.Envelope = &Envelope{}
			child, d := p.part(depth+1, part.Envelope, false)
			part.Children = []*Part{child}
			return d
		}
	}
	d := p.skip()
	p.empty(part)
	return d
}

// room reports whether there is room for what is in part. Where there is none
// part becomes opaque.
func (p *parser) room(part *Part, depth int) bool {
	if depth+1 < maxDepth && p.parts < maxParts {
		return true
	}
	part.Type, part.Subtype = "application", "octet-stream"
	return false
}

// multipart reads the parts of a multipart.
func (p *parser) multipart(part *Part, depth int) delimiter {
	level := len(p.open)
	boundary := part.Params["boundary"]
	p.open = append(p.open, []byte(boundary[:min(len(boundary), maxBoundary)]))
	d := p.skip() // the preamble
	for d.level == level && !d.last {
		if p.parts >= maxParts {
			d = p.skip()
			continue
		}
		var child *Part
		child, d = p.part(depth+1, nil, part.Subtype == "digest")
		part.Children = append(part.Children, child)
	}
	p.open = p.open[:level]
	if d.level == level {
		d = p.skip() // the epilogue
	}
	p.empty(part)
	return d
}

// empty gives a multipart without parts an empty one and a message without
// content an empty one, because IMAP cannot express them otherwise (RFC 9051
// section 9, body-type-mpart and body-type-msg).
func (p *parser) empty(part *Part) {
	if len(part.Children) > 0 {
		return
	}
	switch {
	case part.Type == "multipart":
	case part.Type == "message" && part.Subtype == "rfc822":
		part.Envelope = &Envelope{}
	default:
		return
	}
	part.Children = []*Part{{
		Type: "text", Subtype: "plain", Encoding: "7bit", Params: map[string]string{"charset": "us-ascii"},
		Header: p.end, Body: p.end, End: p.end,
	}}
}
