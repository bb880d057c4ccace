package imapwire

import "strconv"

// longestQuoted is the longest text that is written as a quoted string; a longer
// one is a literal, which clients with short lines read as well.
const longestQuoted = 1000

// AppendString appends a string: quoted where that may be, a literal otherwise
// (RFC 3501 section 4.3).
func AppendString(dst []byte, s string) []byte { return appendText(dst, s, false) }

// AppendAString appends a string as an atom where it is one (RFC 3501 section 9, astring).
func AppendAString(dst []byte, s string) []byte {
	for i := range len(s) {
		if !isAtom(s[i]) || s[i] == ']' {
			return AppendString(dst, s)
		}
	}
	if s == "" {
		return AppendString(dst, s)
	}
	return append(dst, s...)
}

// appendText appends a string. In a quoted one, octets above 0x7f may be only for
// clients that have enabled UTF-8 (RFC 6855 section 3).
func appendText(dst []byte, s string, acceptsUTF8 bool) []byte {
	if len(s) > longestQuoted {
		return AppendLiteral(dst, s)
	}
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\r' || c == '\n' || c >= 0x7f && !acceptsUTF8 {
			return AppendLiteral(dst, s)
		}
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// AppendLiteral appends a literal.
func AppendLiteral(dst []byte, s string) []byte {
	return append(AppendSize(dst, int64(len(s))), s...)
}

// AppendSize appends the announcement of a literal, whose octets come next.
func AppendSize(dst []byte, size int64) []byte {
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, size, 10)
	return append(dst, "}\r\n"...)
}
