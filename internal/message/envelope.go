package message

import (
	"bytes"
	"slices"
	"time"
)

// Envelope is the text of an ENVELOPE as it stands in a response (RFC 9051 section
// 7.5.2): made of the octets of the header, with encoded words and dates as they
// are written, no longer folded. Its methods decode what is asked for.
type Envelope []byte

// The fields of an envelope, in their order.
const (
	envelopeDate = iota
	envelopeSubject
	envelopeFrom
	envelopeSender
	envelopeReplyTo
	envelopeTo
	envelopeCc
	envelopeBcc
	envelopeInReplyTo
	envelopeMessageID
	envelopeFields
)

var envelopeNames = map[string]int{
	"date": envelopeDate, "subject": envelopeSubject, "from": envelopeFrom, "sender": envelopeSender,
	"reply-to": envelopeReplyTo, "to": envelopeTo, "cc": envelopeCc, "bcc": envelopeBcc,
	"in-reply-to": envelopeInReplyTo, "message-id": envelopeMessageID,
}

const emptyEnvelope = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

// envelopeTexts are the texts of the fields of an envelope while a header is read;
// one that is nil is absent.
type envelopeTexts [envelopeFields][]byte

// envelopeField takes in the value of a field. Of one that is repeated the last
// counts, of addresses all do.
func (p *parser) envelopeField(texts *envelopeTexts, id int, value []byte) {
	switch id {
	case envelopeDate, envelopeInReplyTo, envelopeMessageID:
		texts[id] = p.keep(appendLine(nil, value))
	case envelopeSubject:
		texts[id] = p.keep(appendDisplay(nil, withoutNUL(value)))
	default:
		text, n := appendAddresses(texts[id], value, p.addresses)
		if p.addresses -= n; p.keep(text[len(texts[id]):]) != nil {
			texts[id] = text
		}
	}
}

// envelope makes an envelope.
func (p *parser) envelope(texts *envelopeTexts) Envelope {
	for id := envelopeFrom; id <= envelopeBcc; id++ {
		if texts[id] != nil {
			texts[id] = append(texts[id], ')')
		}
	}
	for _, i := range []int{envelopeSender, envelopeReplyTo} {
		if texts[i] == nil {
			texts[i] = p.keep(texts[envelopeFrom])
		}
	}
	for i := range texts {
		if texts[i] == nil {
			texts[i] = []byte("NIL")
		}
	}
	return slices.Concat([]byte("("), bytes.Join(texts[:], []byte(" ")), []byte(")"))
}

// field returns the text of a field.
func (e Envelope) field(n int) []byte {
	if len(e) < 2 {
		return nil
	}
	var value []byte
	for rest := e[1 : len(e)-1]; n >= 0; n-- {
		value, rest = nextValue(rest)
	}
	return value
}

// Date returns the date of the Date field; zero where it is absent or unreadable.
func (e Envelope) Date() time.Time {
	date, _ := parseDate(stringOf(e.field(envelopeDate)))
	return date
}

// Subject returns the decoded subject.
func (e Envelope) Subject() string {
	return (&headerText{}).decode([]byte(stringOf(e.field(envelopeSubject))))
}

// From returns the first author for a person to read, empty where there is none.
func (e Envelope) From() string {
	list := valuesOf(e.field(envelopeFrom))
	if len(list) == 0 {
		return ""
	}
	a := valuesOf(list[0])
	if len(a) != 4 {
		return ""
	}
	name, text := (&headerText{}).decode([]byte(stringOf(a[0]))), stringOf(a[2])
	if host := stringOf(a[3]); host != "" {
		text += "@" + host
	}
	if text = clean(guessUTF8(text, "")); name != "" {
		text = name + " <" + text + ">"
	}
	return text
}
