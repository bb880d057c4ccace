package message

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// encodedWord is one RFC 2047 encoded word: "=?charset?encoding?text?=".
type encodedWord struct {
	charset string
	bytes   string // transfer encoding undone
	size    int    // bytes of the word as written
	ok      bool   // false: looks like an encoded word but cannot be read
}

// parseWord reads the encoded word at the start of s. It returns false where
// there is none. Spaces in the text are taken as they are: broken, but common.
func parseWord(s string) (encodedWord, bool) {
	if !strings.HasPrefix(s, "=?") {
		return encodedWord{}, false
	}
	n := strings.IndexByte(s[2:min(len(s), 2+64)], '?')
	if n <= 0 || strings.ContainsAny(s[2:2+n], " =\"<>@,;") || len(s) < n+5 || s[n+4] != '?' {
		return encodedWord{}, false
	}
	// RFC 2231 section 5: a language may follow the charset.
	charset, _, _ := strings.Cut(s[2:2+n], "*")
	w := encodedWord{charset: charset, ok: true}
	kind, text := s[n+3]|0x20, s[n+5:]
	if kind != 'q' && kind != 'b' {
		return encodedWord{}, false
	}
	end := strings.Index(text, "?=")
	if end < 0 {
		return encodedWord{}, false
	}
	if kind == 'q' {
		w.bytes = decodeQ(inCharset(text[:end], charset))
	} else {
		w.bytes, w.ok = decodeB(text[:end])
	}
	w.size = n + 5 + end + 2
	return w, true
}

// inCharset gives 8-bit text in a word, which must not have any, the charset of
// the word: it was made UTF-8 together with what is around it.
func inCharset(text, charset string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return text
	}
	if enc, _ := lookupCharset(charset); enc != nil {
		if back, err := enc.NewEncoder().String(text); err == nil {
			return back
		}
	}
	return text
}

func decodeQ(s string) string {
	if !strings.ContainsAny(s, "_=") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			b.WriteByte(' ')
		case s[i] == '=' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// unhex returns the value of a hexadecimal digit, 255 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

func decodeB(s string) (string, bool) {
	s = strings.TrimRight(strings.ReplaceAll(s, " ", ""), "=")
	if len(s)%4 == 1 { // one character too many or cut off
		s = s[:len(s)-1]
	}
	out, err := base64.RawStdEncoding.DecodeString(s)
	return string(out), err == nil
}

// decodeWords decodes the encoded words in s, which is UTF-8 or ASCII
// otherwise.
func decodeWords(s string) string {
	last := strings.LastIndex(s, "?=") // without it every "=?" would search to the end
	i := strings.Index(s, "=?")
	if i < 0 || last < 0 {
		return s
	}
	ends := len(s) - last // bytes that are left where the last word may end
	var b strings.Builder
	for ; i >= 0 && len(s)-i > ends; i = strings.Index(s, "=?") {
		w, found := parseWord(s[i:])
		if !found {
			b.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		raw := s[i:]
		s = s[i+w.size:]
		var written string
		words := []string{w.bytes}
		// RFC 2047 section 6.2: white space between two words is not shown. A
		// character may be split between words of the same charset.
		for {
			after := strings.TrimLeft(s, " \t")
			next, found := parseWord(after)
			if !found || !strings.EqualFold(next.charset, w.charset) || next.ok != w.ok {
				written = raw[:len(raw)-len(s)]
				if found {
					s = after
				}
				break
			}
			words = append(words, next.bytes)
			s = after[next.size:]
		}
		w.bytes = strings.Join(words, "")
		writeWord(&b, w, written)
	}
	b.WriteString(s)
	return b.String()
}

// writeWord writes a word converted to UTF-8, or as written where that cannot
// be done.
func writeWord(b *strings.Builder, w encodedWord, raw string) {
	text, ok := toUTF8(w.bytes, w.charset)
	_, known := lookupCharset(w.charset)
	switch {
	case !w.ok || !ok && !known:
		text = raw
	case !ok: // cut within a character, most likely
		text = strings.ToValidUTF8(w.bytes, "\uFFFD")
	}
	b.WriteString(text)
}
