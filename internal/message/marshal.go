package message

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// The binary form of a Summary comes in pieces:
//
//	envelope   date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to,
//	           message-id, date of Received
//	header     size, then the lines to the end
//	structure  number of defects, one byte each, part
//
// Numbers are varints. A string is 2*length and its bytes, or 2*i+1 for word i
// of the dictionary. A date is 0 for none, else 1, seconds since 1970 and
// minutes east of Greenwich. Addresses, strings of a list, parameters and
// children follow their number. A part is its bits, which say what follows of
// what is seldom there, then its values; its body starts and ends relative to
// its header, and that relative to the header of the part around it.

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

// Bits of a part: what it has.
const (
	partID = 1 << iota
	partDescription
	partDisposition
	partLanguage
	partLocation
	partMessage
	partChildren
	partBitsEnd
)

// Binary is a Summary of this SummaryVersion in its compact form, in pieces each
// of which can be read without the others.
type Binary struct{ Envelope, Header, Structure []byte }

// Marshal returns the compact form of s.
func (s *Summary) Marshal() Binary {
	envelope := writer{buf: make([]byte, 0, 256)}
	envelope.envelope(&s.Envelope)
	envelope.date(s.Received)
	header := writer{buf: make([]byte, 0, len(s.Header.lines)+4)}
	header.uint(s.Header.Size)
	header.buf = append(header.buf, s.Header.lines...)
	structure := writer{buf: make([]byte, 0, 128)}
	structure.uint(int64(len(s.Defects)))
	for _, d := range s.Defects {
		structure.buf = append(structure.buf, byte(d))
	}
	structure.part(s.Root, 0)
	return Binary{envelope.buf, header.buf, structure.buf}
}

type writer struct{ buf []byte }

func (w *writer) uint(n int64) { w.buf = binary.AppendUvarint(w.buf, uint64(n)) }

func (w *writer) string(s string) {
	if i, ok := dictionaryIndex[s]; ok {
		w.uint(int64(i)<<1 | 1)
		return
	}
	w.uint(int64(len(s)) << 1)
	w.buf = append(w.buf, s...)
}

func (w *writer) strings(list []string) {
	w.uint(int64(len(list)))
	for _, s := range list {
		w.string(s)
	}
}

func (w *writer) date(t time.Time) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	_, offset := t.Zone()
	w.uint(1)
	w.buf = binary.AppendVarint(w.buf, t.Unix())
	w.buf = binary.AppendVarint(w.buf, int64(offset/60))
}

func (w *writer) addresses(list []Address) {
	w.uint(int64(len(list)))
	for _, a := range list {
		w.string(a.Name)
		w.string(a.Mailbox)
		w.string(a.Host)
	}
}

func (w *writer) envelope(e *Envelope) {
	w.date(e.Date)
	w.string(e.Subject)
	for _, list := range [][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		w.addresses(list)
	}
	w.strings(e.InReplyTo)
	w.string(e.MessageID)
}

func (w *writer) params(params map[string]string) {
	w.uint(int64(len(params)))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		w.string(name)
		w.string(params[name])
	}
}

func (w *writer) part(p *Part, base int64) {
	bits := partBits(p)
	w.uint(int64(bits))
	w.string(p.Type)
	w.string(p.Subtype)
	w.params(p.Params)
	w.string(p.Encoding)
	w.uint(p.Header - base)
	w.uint(p.Body - p.Header)
	w.uint(p.End - p.Body)
	w.uint(p.Lines)
	if bits&partID != 0 {
		w.string(p.ID)
	}
	if bits&partDescription != 0 {
		w.string(p.Description)
	}
	if bits&partDisposition != 0 {
		w.string(p.Disposition)
		w.params(p.DispositionParams)
	}
	if bits&partLanguage != 0 {
		w.strings(p.Language)
	}
	if bits&partLocation != 0 {
		w.string(p.Location)
	}
	if bits&partMessage != 0 {
		w.envelope(p.Envelope)
	}
	if bits&partChildren != 0 {
		w.uint(int64(len(p.Children)))
		for _, child := range p.Children {
			w.part(child, p.Header)
		}
	}
}

func partBits(p *Part) int {
	bits := 0
	set := func(have bool, bit int) {
		if have {
			bits |= bit
		}
	}
	set(p.ID != "", partID)
	set(p.Description != "", partDescription)
	set(p.Disposition != "", partDisposition)
	set(len(p.Language) > 0, partLanguage)
	set(p.Location != "", partLocation)
	set(p.Envelope != nil, partMessage)
	set(len(p.Children) > 0, partChildren)
	return bits
}
