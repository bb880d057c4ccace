package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// fieldID names a header field that a Summary is made from.
type fieldID uint8

const (
	fieldDate fieldID = iota
	fieldSubject
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	fieldMessageID
	fieldReceived
	fieldContentType
	fieldContentEncoding
	fieldContentID
	fieldContentDescription
	fieldContentDisposition
	fieldContentLanguage
	fieldContentLocation
	fieldCount
)

var fieldNames = map[string]fieldID{
	"date": fieldDate, "subject": fieldSubject, "from": fieldFrom, "sender": fieldSender,
	"reply-to": fieldReplyTo, "to": fieldTo, "cc": fieldCc, "bcc": fieldBcc,
	"in-reply-to": fieldInReplyTo, "message-id": fieldMessageID, "received": fieldReceived,
	"content-type": fieldContentType, "content-transfer-encoding": fieldContentEncoding,
	"content-id": fieldContentID, "content-description": fieldContentDescription,
	"content-disposition": fieldContentDisposition, "content-language": fieldContentLanguage,
	"content-location": fieldContentLocation,
}

// headerFields are the unfolded values of the fields of one header that are of
// use. Of a repeated field the first or the last counts, as in Dovecot; of
// addresses all do, lest a reader be shown another author than a filter saw.
type headerFields struct {
	values   [fieldCount]string
	more     [fieldCount][]string // of an address field that is repeated
	present  [fieldCount]bool
	fallback string // charset of 8-bit text that is not UTF-8
}

// fields reads the useful fields of a header.
func (p *parser) fields(raw []byte, top bool) *headerFields {
	h := &headerFields{}
	if after, found := bytes.CutPrefix(raw, []byte("From ")); found && top && !bytes.HasPrefix(bytes.TrimLeft(after, " \t"), []byte(":")) {
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	for len(raw) > 0 {
		var name, value []byte
		name, value, raw = nextField(raw)
		if len(name) == 0 {
			continue
		}
		if id, ok := lookupField(name); ok {
			h.set(id, unfold(value))
		}
	}
	for id, more := range h.more {
		if more != nil {
			h.values[id] += ", " + strings.Join(more, ", ")
		}
	}
	if h.present[fieldContentType] {
		_, _, params := parseContentType(h.values[fieldContentType])
		h.fallback = params["charset"]
	}
	for i, v := range h.values {
		if !utf8.ValidString(v) {
			h.values[i] = guessUTF8(v, h.fallback)
		}
	}
	return h
}

func lookupField(name []byte) (fieldID, bool) {
	var lower [32]byte
	if len(name) > len(lower) {
		return 0, false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	id, ok := fieldNames[string(lower[:len(name)])]
	return id, ok
}

func (h *headerFields) set(id fieldID, value string) {
	if !h.present[id] {
		h.values[id], h.present[id] = value, true
		return
	}
	switch id {
	case fieldFrom, fieldSender, fieldReplyTo, fieldTo, fieldCc, fieldBcc:
		h.more[id] = append(h.more[id], value)
	case fieldDate, fieldSubject, fieldInReplyTo, fieldMessageID, fieldContentDisposition:
		h.values[id] = value
	}
}

// text returns a field as text: encoded words decoded.
func (p *parser) text(h *headerFields, id fieldID) string {
	return p.keep(strings.ToValidUTF8(clean(decodeWords(h.values[id])), "\uFFFD"))
}

// top sets what only the header of the whole message says.
func (p *parser) top(h *headerFields, raw []byte, blank, cut bool) {
	eol := ""
	if blank {
		eol = "\r\n"[2-p.eol:]
	}
	p.keepHeader(raw, eol, cut)
	if value := h.values[fieldReceived]; value != "" {
		// RFC 5322 section 3.6.7: the date follows the last semicolon.
		p.sum.Received, _ = parseDate(value[strings.LastIndexByte(value, ';')+1:])
	}
}
