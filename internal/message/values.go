package message

import (
	"bytes"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// ReadHeader returns all fields of a header, of which at most 1 MiB is read, as a
// Header from which values can be taken.
func ReadHeader(r io.Reader) (*Header, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxHeader))
	return &Header{lines: raw}, err
}

// value returns the first field of that name as it is written, nil for none.
func (h *Header) value(name string) []byte {
	for rest := h.lines; len(rest) > 0; { // not Fields, which allocates
		var f Field
		if f.Name, f.value, rest = nextField(rest); f.Is(name) {
			return f.value
		}
	}
	return nil
}

// Text returns the first field of that name, decoded and unfolded.
func (h *Header) Text(name string) string {
	return string(Field{value: h.value(name), text: &headerText{raw: h.lines}}.Text())
}

// Date returns the date of the message; false where there is none that can be
// read.
func (h *Header) Date() (time.Time, bool) {
	text := unfold(h.value("Date"))
	if t, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", text); err == nil { // as nearly all are, and fast
		return checkDate(t)
	}
	return parseDate(text)
}

// Address is an address, its name decoded.
type Address struct{ Name, Mailbox, Host string }

// Address returns the first address in the first field of that name, zero where
// there is none.
func (h *Header) Address(name string) Address {
	text, n := appendAddresses(nil, h.value(name), 1)
	if n == 0 {
		return Address{}
	}
	a := valuesOf(valuesOf(append(text, ')'))[0])
	return Address{(&headerText{raw: h.lines}).decode([]byte(stringOf(a[0]))), stringOf(a[2]), stringOf(a[3])}
}

// MessageIDs returns the message ids in the first field of that name, normalized
// (RFC 5256 section 3, REFERENCES): quotes and comments are removed. What has no @
// is none.
func (h *Header) MessageIDs(name string) (ids []string) {
	l := lexer{in: []byte(unfold(h.value(name)))}
	for {
		_, after, found := bytes.Cut(l.in, []byte("<"))
		if !found {
			return ids
		}
		l.in = after
		if id := l.messageID(); strings.Contains(id, "@") {
			ids = append(ids, id)
		}
	}
}

// messageID reads a message id up to its >. An id without end is none.
func (l *lexer) messageID() string {
	if end := bytes.IndexAny(l.in, `>"(`); end >= 0 && l.in[end] == '>' {
		id := l.in[:end]
		l.in = l.in[end+1:]
		return string(id)
	}
	var id []byte
	for len(l.in) > 0 {
		switch c := l.in[0]; c {
		case '>':
			l.in = l.in[1:]
			return string(id)
		case '"':
			id, _ = l.quoted(id)
		case '(', ' ', '\t':
			l.space()
		default:
			id, l.in = append(id, c), l.in[1:]
		}
	}
	return ""
}

// Charsets are the names of charsets that Decoder knows, as a client is told.
const Charsets = "US-ASCII UTF-8 ISO-8859-1 ISO-8859-2 ISO-8859-3 ISO-8859-4 ISO-8859-5 ISO-8859-6 ISO-8859-7 ISO-8859-8 ISO-8859-9 ISO-8859-10 ISO-8859-13 ISO-8859-14 ISO-8859-15 ISO-8859-16 " +
	"WINDOWS-1250 WINDOWS-1251 WINDOWS-1252 WINDOWS-1253 WINDOWS-1254 WINDOWS-1255 WINDOWS-1256 WINDOWS-1257 WINDOWS-1258 KOI8-R KOI8-U SHIFT_JIS EUC-JP ISO-2022-JP EUC-KR GB2312 GBK GB18030 BIG5"

// Decoder returns what makes UTF-8 of text in the named charset, false for text that
// is not in it; nil where the charset is unknown, or has other bytes for ASCII and so
// cannot be in a command.
func Decoder(charset string) func(text string) (decoded string, ok bool) {
	enc, known := lookupCharset(charset)
	switch {
	case !known:
		return nil
	case enc == nil:
		return func(text string) (string, bool) { return text, utf8.ValidString(text) }
	}
	decode := func(text string) (string, bool) {
		decoded, err := enc.NewDecoder().String(text)
		return decoded, err == nil && !strings.ContainsRune(decoded, utf8.RuneError)
	}
	if ascii, _ := decode("a@"); ascii != "a@" {
		return nil
	}
	return decode
}
