package message

import (
	"bytes"
	"strings"
)

// readHeader reads the header at the current position into buf. It ends with
// the blank line, before a boundary line of an open multipart, or with the
// message; blank and d tell which. What is longer than limit is read but not
// kept.
func (s *scanner) readHeader(buf []byte, limit int, as role) (raw []byte, blank, cut bool, d delimiter) {
	raw = buf[:0]
	for start := s.pos; ; {
		at, lines, eol := s.pos, s.lines, s.eol
		line, begins := s.next()
		if line == nil {
			return raw, false, cut, s.ended(s.pos, s.lines, 0, noDelimiter)
		}
		if begins {
			if at == start && as != message {
				eol = 0 // that of the boundary before it
			}
			if d := s.match(line); d != noDelimiter {
				return raw, false, cut, s.ended(at, lines, eol, d)
			}
			if len(line) == s.eol {
				return raw, true, cut, noDelimiter
			}
		}
		if len(raw)+len(line) > limit {
			line, cut = line[:max(limit-len(raw), 0)], true
		}
		raw = append(raw, line...)
	}
}

// nextField splits the first field off a header. The value is as written, with
// the line ends of folded lines. Lines that are no field have no name.
func nextField(raw []byte) (name, value, rest []byte) {
	end := 0
	for {
		i := bytes.IndexByte(raw[end:], '\n')
		if i < 0 {
			end = len(raw)
			break
		}
		end += i + 1
		// RFC 5322 section 2.2.3: a line that starts with white space goes on.
		if end == len(raw) || raw[end] != ' ' && raw[end] != '\t' {
			break
		}
	}
	field, rest := raw[:end], raw[end:]
	colon := bytes.IndexByte(field, ':')
	if colon < 0 || bytes.IndexByte(field[:colon], '\n') >= 0 {
		return nil, field, rest
	}
	// RFC 5322 section 4.5: white space before the colon was once allowed.
	return bytes.TrimRight(field[:colon], " \t"), field[colon+1:], rest
}

// fieldValue returns a value as it is read: without the white space before it and
// the line end behind it, folded by LF.
func fieldValue(value []byte) []byte {
	if bytes.IndexByte(value, '\r') >= 0 {
		value = bytes.ReplaceAll(value, []byte("\r\n"), []byte("\n"))
	}
	value = bytes.TrimSuffix(value, []byte("\n"))
	first := value
	if i := bytes.IndexByte(value, '\n'); i >= 0 {
		first = value[:i]
	}
	n := len(first) - len(bytes.TrimLeft(first, " \t"))
	if n == len(first) { // of white space alone one is skipped
		n = min(n, 1)
	}
	return value[n:]
}

// unfold returns a field value on one line: a line end with the white space
// after it becomes a space, other control characters too, NUL vanishes.
func unfold(value []byte) string {
	value = bytes.Trim(value, " \t\r\n")
	if !hasControl(value) {
		return string(value)
	}
	var b strings.Builder
	b.Grow(len(value))
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == 0:
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
		case c == '\n':
			for i+1 < len(value) && (value[i+1] == ' ' || value[i+1] == '\t' || value[i+1] == '\r' || value[i+1] == '\n') {
				i++
			}
			b.WriteByte(' ')
		case isControl(c):
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return strings.Trim(b.String(), " ")
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

func hasControl(b []byte) bool {
	for _, c := range b {
		if isControl(c) {
			return true
		}
	}
	return false
}

// clean makes decoded text fit for one line of UTF-8: what an encoded word
// brought in as control characters becomes a space.
func clean(s string) string {
	for i := 0; i < len(s); i++ {
		if isControl(s[i]) {
			return strings.TrimSpace(strings.Map(func(r rune) rune {
				if r == 0 {
					return -1
				}
				if r < ' ' || r == 0x7f {
					return ' '
				}
				return r
			}, s))
		}
	}
	return s
}
