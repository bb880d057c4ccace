package message

import (
	"bytes"
	"strconv"
)

// maxQuoted is the longest text that stands between quotes, in bytes.
const maxQuoted = 8 << 10

// maxEscaped is how many characters of a quoted string may need a backslash; with
// more it is a literal, as in Dovecot.
const maxEscaped = 4

// appendNString appends a string of IMAP (RFC 3501 section 4.3), or NIL for nil:
// quoted where that may be, a literal otherwise.
func appendNString(dst, s []byte) []byte {
	if s == nil {
		return append(dst, "NIL"...)
	}
	escaped := 0
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			escaped++
		case c == '\r' || c == '\n' || c >= 0x80:
			escaped = maxEscaped + 1
		}
		if escaped > maxEscaped {
			return appendLiteral(dst, s)
		}
	}
	dst = append(dst, '"')
	for _, c := range s {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendLine appends the value of a field on one line, with all its white space.
func appendLine(dst, value []byte) []byte {
	value = withoutNUL(value)
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return appendNString(dst, value)
	}
	line := make([]byte, 0, len(value))
	for i, c := range value {
		if c != '\r' && c != '\n' {
			line = append(line, c)
		} else if i+1 < len(value) && bytes.IndexByte([]byte(" \t\r\n"), value[i+1]) < 0 {
			line = append(line, ' ')
		}
	}
	return appendNString(dst, line)
}

func withoutNUL(value []byte) []byte {
	if bytes.IndexByte(value, 0) < 0 {
		return value
	}
	return bytes.ReplaceAll(value, []byte{0}, []byte(nul))
}

func appendLiteral(dst, s []byte) []byte {
	dst = strconv.AppendInt(append(dst, '{'), int64(len(s)), 10)
	return append(append(dst, "}\r\n"...), s...)
}

// appendDisplay appends text that is for a person: white space becomes single
// spaces. It is a literal unless it is short and may stand between quotes as it is.
func appendDisplay(dst, s []byte) []byte {
	clean := make([]byte, 0, len(s))
	plain, space := len(s) < maxQuoted-2, true
	for _, c := range s {
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			plain = plain && c == ' ' && !space
			if space {
				continue
			}
			c, space = ' ', true
		default:
			plain = plain && c < 0x80 && c != '"' && c != '\\'
			space = false
		}
		clean = append(clean, c)
	}
	if space && len(clean) > 0 {
		clean, plain = clean[:len(clean)-1], false
	}
	if !plain && len(clean) > 0 {
		return appendLiteral(dst, clean)
	}
	return append(append(append(dst, '"'), clean...), '"')
}

// nextValue splits the first value off a text of IMAP that was made here: a
// string, an atom or a list, with its quoting and its parentheses.
func nextValue(text []byte) (value, rest []byte) {
	text = bytes.TrimPrefix(text, []byte(" "))
	n, depth := 0, 0
	for n < len(text) {
		switch text[n] {
		case '(':
			depth++
			n++
		case ')':
			depth--
			n++
		case ' ':
			n++
		case '"':
			for n++; n < len(text) && text[n] != '"'; n++ {
				if text[n] == '\\' {
					n++
				}
			}
			n++
		case '{':
			n += literalSize(text[n:])
		default:
			if end := bytes.IndexAny(text[n:], " ()"); end >= 0 {
				n += end
			} else {
				n = len(text)
			}
		}
		if depth <= 0 {
			break
		}
	}
	n = min(n, len(text))
	return text[:n], text[n:]
}

// literalSize returns the size of the literal at the start of text, with its
// announcement.
func literalSize(text []byte) int {
	head, _, _ := bytes.Cut(text, []byte("}\r\n"))
	n, err := strconv.Atoi(string(bytes.TrimPrefix(head, []byte("{"))))
	if err != nil || n < 0 || n > len(text) {
		return len(text)
	}
	return len(head) + len("}\r\n") + n
}

// valuesOf returns the values of a list, nil where text is none.
func valuesOf(text []byte) (values [][]byte) {
	if len(text) < 2 || text[0] != '(' {
		return nil
	}
	for rest := text[1 : len(text)-1]; len(rest) > 0; {
		var value []byte
		if value, rest = nextValue(rest); len(value) == 0 {
			return values
		}
		values = append(values, value)
	}
	return values
}

// stringOf returns the text of a string without its quoting, empty for NIL.
func stringOf(value []byte) string {
	switch {
	case len(value) < 2 || value[0] == 'N':
		return ""
	case value[0] == '{':
		_, text, _ := bytes.Cut(value, []byte("}\r\n"))
		return string(text)
	}
	text := value[1 : len(value)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		plain = append(plain, text[i])
	}
	return string(plain)
}
