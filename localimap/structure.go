package localimap

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/message"
)

// envelopeOf and structureOf put what the summary says into the library's
// types, which it encodes again.

func envelopeOf(e *message.Envelope) *imap.Envelope {
	return &imap.Envelope{
		Date:      e.Date,
		Subject:   e.Subject,
		From:      addressesOf(e.From),
		Sender:    addressesOf(e.Sender),
		ReplyTo:   addressesOf(e.ReplyTo),
		To:        addressesOf(e.To),
		Cc:        addressesOf(e.Cc),
		Bcc:       addressesOf(e.Bcc),
		InReplyTo: e.InReplyTo,
		MessageID: e.MessageID,
	}
}

func addressesOf(list []message.Address) []imap.Address {
	if len(list) == 0 {
		return nil // the library takes From for a Sender or Reply-To that is nil
	}
	out := make([]imap.Address, len(list))
	for i, a := range list {
		out[i] = imap.Address(a)
	}
	return out
}

func structureOf(p *message.Part) imap.BodyStructure {
	var disposition *imap.BodyStructureDisposition
	if p.Disposition != "" {
		disposition = &imap.BodyStructureDisposition{Value: p.Disposition, Params: paramsOf(p.DispositionParams)}
	}
	if p.Multipart() {
		multi := &imap.BodyStructureMultiPart{
			Subtype: p.Subtype,
			Extended: &imap.BodyStructureMultiPartExt{
				Params: paramsOf(p.Params), Disposition: disposition, Language: p.Language, Location: p.Location,
			},
			Children: make([]imap.BodyStructure, len(p.Children)),
		}
		for i, child := range p.Children {
			multi.Children[i] = structureOf(child)
		}
		return multi
	}
	leaf := &struct { // in one piece
		part imap.BodyStructureSinglePart
		ext  imap.BodyStructureSinglePartExt
		text imap.BodyStructureText
	}{}
	leaf.ext = imap.BodyStructureSinglePartExt{Disposition: disposition, Language: p.Language, Location: p.Location}
	leaf.text.NumLines = p.Lines
	single := &leaf.part
	*single = imap.BodyStructureSinglePart{
		Type: p.Type, Subtype: p.Subtype, Params: paramsOf(p.Params),
		ID: p.ID, Description: p.Description, Encoding: p.Encoding,
		Size: uint32(p.End - p.Body), Extended: &leaf.ext,
	}
	switch {
	case p.Message():
		single.MessageRFC822 = &imap.BodyStructureMessageRFC822{
			Envelope: envelopeOf(p.Envelope), BodyStructure: structureOf(p.Children[0]), NumLines: p.Lines,
		}
	case p.Type == "text":
		single.Text = &leaf.text
	}
	return single
}

// paramsOf writes values that are not ASCII as RFC 2231 does: they are strings
// of the header, where clients look for that, and RFC 3501 has no other way.
func paramsOf(params map[string]string) map[string]string {
	plain := true
	for _, value := range params {
		plain = plain && isASCII(value)
	}
	if plain {
		return params
	}
	encoded := make(map[string]string, len(params))
	for name, value := range params {
		if !isASCII(value) {
			name, value = name+"*", "utf-8''"+url.PathEscape(value)
		}
		encoded[name] = value
	}
	return encoded
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
