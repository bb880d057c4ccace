package message

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// AppendCollation appends the form of text in which i;unicode-casemap compares
// octets (RFC 5051 section 2): titlecase, decomposed.
func AppendCollation(dst []byte, text string) []byte {
	for _, r := range text {
		if r < utf8.RuneSelf {
			if 'a' <= r && r <= 'z' {
				r -= 'a' - 'A'
			}
			dst = append(dst, byte(r))
			continue
		}
		var buf [utf8.UTFMax]byte
		n := utf8.EncodeRune(buf[:], unicode.ToTitle(r))
		if parts := norm.NFKD.Properties(buf[:n]).Decomposition(); parts != nil {
			dst = append(dst, parts...)
		} else {
			dst = append(dst, buf[:n]...)
		}
	}
	return dst
}

// BaseSubject returns the base subject of a decoded subject in the form of
// AppendCollation, and whether the subject is that of a reply or a forwarded
// message (RFC 5256 section 2.1). Of a subject longer than 4 KiB the beginning
// counts.
func BaseSubject(subject string) (base string, reply bool) {
	subject = subject[:min(len(subject), maxLines)]
	s := packSpace(string(AppendCollation(make([]byte, 0, len(subject)), subject)))
	for {
		for { // step 2
			trimmed := strings.TrimRight(s, " ")
			rest, forwarded := strings.CutSuffix(trimmed, "(FWD)")
			if s = rest; !forwarded {
				break
			}
			reply = true
		}
		for { // steps 3 to 5
			rest, led := cutLeader(s)
			reply = reply || led
			if after, ok := cutBlob(rest); ok && after != "" {
				rest = after
			}
			if rest == s {
				break
			}
			s = rest
		}
		inner, forwarded := strings.CutPrefix(s, "[FWD:") // step 6
		if !forwarded || !strings.HasSuffix(inner, "]") {
			return s, reply
		}
		s, reply = inner[:len(inner)-1], true
	}
}

// packSpace makes one space of each run of white space.
func packSpace(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") && !strings.Contains(s, "  ") {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if blank := c == ' ' || c == '\t' || c == '\r' || c == '\n'; !blank {
			b.WriteByte(c)
		} else if t := b.String(); t == "" || t[len(t)-1] != ' ' {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// cutLeader cuts a subj-leader off; reply is false where it is only space.
func cutLeader(s string) (rest string, reply bool) {
	s = strings.TrimPrefix(s, " ")
	rest = s
	for {
		after, ok := cutBlob(rest)
		if !ok {
			break
		}
		rest = after
	}
	for _, word := range []string{"RE", "FWD", "FW"} {
		after, ok := strings.CutPrefix(rest, word)
		if !ok {
			continue
		}
		after = strings.TrimPrefix(after, " ")
		after, _ = cutBlob(after)
		if after, ok = strings.CutPrefix(after, ":"); ok {
			return after, true
		}
		break
	}
	return s, false
}

// cutBlob cuts a subj-blob off: text in brackets and the space after it.
func cutBlob(s string) (rest string, ok bool) {
	if s == "" || s[0] != '[' {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]") + 1
	if end == 0 || s[end] == '[' {
		return s, false
	}
	return strings.TrimPrefix(s[end+1:], " "), true
}
