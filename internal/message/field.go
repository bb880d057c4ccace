package message

import (
	"bytes"
	"iter"
	"unicode/utf8"
)

// Field is a field of a header.
type Field struct {
	Name  []byte // as written; empty for lines that are no field
	value []byte
	text  *headerText
}

// Fields returns the fields of h in their order, all of them where h comes from
// ReadHeader, otherwise those that are kept.
func (h *Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		text := headerText{raw: h.lines}
		for rest := h.lines; len(rest) > 0; {
			f := Field{text: &text}
			if f.Name, f.value, rest = nextField(rest); !yield(f) {
				return
			}
		}
	}
}

// Is reports whether f has this name, whatever its case.
func (f Field) Is(name string) bool { return len(f.Name) > 0 && isName(f.Name, name) }

// Text returns the value, decoded and unfolded. It may share the memory of the
// header.
func (f Field) Text() []byte {
	if plain := bytes.Trim(f.value, " \t\r\n"); isPlain(plain) {
		return plain
	}
	return []byte(f.text.decode(f.value))
}

// FileName returns the name of a file that f gives to its part, decoded (RFC 2183,
// RFC 2231); empty where it gives none.
func (f Field) FileName() string {
	param := "filename"
	if f.Is("Content-Type") {
		param = "name"
	} else if !f.Is("Content-Disposition") {
		return ""
	}
	l := lexer{in: f.Text()}
	return decoded(l.params(), param)
}

// isPlain reports whether a value is its own text.
func isPlain(value []byte) bool {
	for i, c := range value {
		if c < ' ' || c >= 0x7f || c == '=' && i+1 < len(value) && value[i+1] == '?' {
			return false
		}
	}
	return true
}

// headerText turns values of one header into text.
type headerText struct {
	raw      []byte
	fallback *string // charset of 8-bit text that is not UTF-8, when it was needed
}

// decode returns a value, decoded and unfolded.
func (h *headerText) decode(value []byte) string {
	text := unfold(value)
	if !utf8.ValidString(text) {
		if h.fallback == nil {
			charset := headerCharset(h.raw)
			h.fallback = &charset
		}
		text = guessUTF8(text, *h.fallback)
	}
	text = decodeWords(text)
	return clean(text)
}

// headerCharset returns the charset parameter of the Content-Type in a header.
func headerCharset(raw []byte) string {
	for f := range (&Header{lines: raw}).Fields() {
		if f.Is("Content-Type") {
			var c content
			c.contentType(&lexer{in: fieldValue(f.value)})
			return decoded(c.list, "charset")
		}
	}
	return ""
}
