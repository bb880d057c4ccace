package imapwire

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7 is the base64 of modified UTF-7 (RFC 3501 section 5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

// DecodeMailbox returns the mailbox name that a client means by name. utf8 is after
// ENABLE UTF8=ACCEPT or IMAP4rev2, where names are UTF-8 (RFC 6855 section 3, RFC
// 9051 section 5.1); before that they are modified UTF-7. ok tells that it is a name.
func DecodeMailbox(name string, acceptsUTF8 bool) (decoded string, ok bool) {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, forbidden) {
		return "", false
	}
	if acceptsUTF8 || !strings.Contains(name, "&") {
		return name, true // UTF-8 as it is, which clients send without asking
	}
	var out strings.Builder
	for name != "" {
		plain, rest, shifted := strings.Cut(name, "&")
		out.WriteString(plain)
		if !shifted {
			break
		}
		code, rest, closed := strings.Cut(rest, "-")
		if !closed {
			return "", false
		}
		if name = rest; code == "" {
			out.WriteByte('&')
			continue
		}
		text, ok := decodeUTF7(code)
		if !ok || strings.HasPrefix(rest, "&") && !strings.HasPrefix(rest, "&-") { // two shifts in a row are one
			return "", false
		}
		out.WriteString(text)
	}
	return out.String(), true
}

// forbidden are the characters that no name has: control characters, and those that end
// lines (RFC 6855 section 3).
func forbidden(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// decodeUTF7 decodes UTF-16 in base64, which must not have printable ASCII in it.
func decodeUTF7(code string) (string, bool) {
	raw, err := utf7.DecodeString(code)
	if err != nil || len(raw)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	text := utf16.Decode(units)
	for _, r := range text {
		if r >= ' ' && r <= '~' || r == utf8.RuneError {
			return "", false
		}
	}
	return string(text), true
}

// AppendMailbox appends the name of a mailbox as the client reads it, see
// DecodeMailbox.
func AppendMailbox(dst []byte, name string, acceptsUTF8 bool) []byte {
	switch {
	case name == "INBOX": // as other servers write it
		return append(dst, name...)
	case acceptsUTF8:
		return appendText(dst, name, true)
	}
	return AppendString(dst, encodeUTF7(name))
}

func encodeUTF7(name string) string {
	if !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '&' }) {
		return name
	}
	var out []byte
	var units []uint16
	flush := func() {
		if len(units) > 0 {
			raw := make([]byte, 0, 2*len(units))
			for _, u := range units {
				raw = append(raw, byte(u>>8), byte(u))
			}
			out = append(utf7.AppendEncode(append(out, '&'), raw), '-')
			units = units[:0]
		}
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			units = utf16.AppendRune(units, r)
			continue
		}
		if flush(); r == '&' {
			out = append(out, "&-"...)
		} else {
			out = append(out, byte(r))
		}
	}
	flush()
	return string(out)
}
