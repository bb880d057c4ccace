package message

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

var filterReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 8<<10) }}

// FilterHeader copies the named fields of header to w as they are written, or
// with not all but those, then the blank line where header has one (RFC 9051
// section 6.4.5, HEADER.FIELDS and HEADER.FIELDS.NOT). It reads no further than
// the header.
func FilterHeader(w io.Writer, header io.Reader, fields []string, not bool) error {
	br := filterReaders.Get().(*bufio.Reader)
	br.Reset(header)
	defer func() {
		br.Reset(nil)
		filterReaders.Put(br)
	}()
	begins, keep := true, not
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		blank := begins && len(line) == eolSize(line)
		if begins && !blank && !folded(line) {
			keep = named(line, fields) != not
		}
		begins = eolSize(line) > 0
		if keep || blank {
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		if blank {
			return nil
		}
	}
}

// folded reports whether a line goes on with the field before it.
func folded(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

// named reports whether a line begins one of the fields.
func named(line []byte, fields []string) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return found && slices.ContainsFunc(fields, func(f string) bool { return isName(name, f) })
}

// isName reports whether text is the name of a field, which has no other letters
// than those of ASCII (RFC 5322 section 2.2).
func isName(text []byte, name string) bool {
	if len(text) != len(name) {
		return false
	}
	for i, c := range text {
		if d := name[i]; c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// HeaderMatches reports whether header has a field of that name with a value,
// decoded and unfolded, that m matches. Of a header longer than 1 MiB the
// beginning is read.
func HeaderMatches(header io.Reader, name string, m *Matcher) (bool, error) {
	raw, err := io.ReadAll(io.LimitReader(header, maxHeader))
	return err == nil && fieldMatches(raw, name, m), err
}

func fieldMatches(header []byte, name string, m *Matcher) bool {
	text := headerText{raw: header}
	for rest := header; len(rest) > 0; {
		var field, value []byte
		if field, value, rest = nextField(rest); len(field) > 0 && isName(field, name) {
			if plain := bytes.Trim(value, " \t\r\n"); isPlain(plain) && m.match(plain) || !isPlain(plain) && m.Match(text.decode(value)) {
				return true
			}
		}
	}
	return false
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

// eachField calls yield with the fields of a header, decoded and unfolded,
// until it returns false. Lines that are no field come without a name.
func eachField(header io.Reader, yield func(name, value string) bool) error {
	raw, err := io.ReadAll(io.LimitReader(header, maxHeader))
	if err != nil {
		return err
	}
	text := headerText{raw: raw}
	for len(raw) > 0 {
		var name, value []byte
		if name, value, raw = nextField(raw); !yield(string(name), text.decode(value)) {
			break
		}
	}
	return nil
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
	for len(raw) > 0 {
		var name, value []byte
		if name, value, raw = nextField(raw); strings.EqualFold(string(name), "Content-Type") {
			var c content
			c.contentType(&lexer{in: fieldValue(value)})
			return decoded(c.list, "charset")
		}
	}
	return ""
}
