package submission

import (
	"strings"
	"unicode/utf8"
)

// argument splits "FROM:<a@b.example> SIZE=1" into the address and the parameters.
// Beside what RFC 5321 section 4.1.2 has, white space around the address and an address
// without brackets are taken; a source route is dropped (appendix C).
func argument(arg, keyword string) (address string, params []string, valid bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", nil, false
	}
	rest := strings.TrimLeft(arg[len(keyword):], " \t")
	rest, bracket := strings.CutPrefix(rest, "<")
	end := addressEnd(rest, bracket)
	if end < 0 {
		return "", nil, false
	}
	address = rest[:end]
	if rest = rest[end:]; bracket {
		rest = rest[1:]
		address = strings.Trim(address, " \t")
	}
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", nil, false
	}
	if strings.HasPrefix(address, "@") {
		_, address, _ = strings.Cut(address, ":")
	}
	return address, strings.Fields(rest), true
}

// addressEnd returns where an address ends: at its bracket, else at white space. Either
// may stand in a quoted string. It is -1 where the bracket or the second quote is not
// there.
func addressEnd(s string, bracket bool) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case bracket && c == '>', !bracket && (c == ' ' || c == '\t'):
			return i
		}
	}
	if bracket || quoted {
		return -1
	}
	return len(s)
}

// isAddress reports whether s can be in an envelope (RFC 5321 section 4.1.2, RFC 6531
// section 3.3). Dots may stand anywhere in the local part, as those of some providers
// do, and a host name may have underscores.
func isAddress(s string) bool {
	local, domain := splitAddress(s)
	return len(s) <= maxAddress && utf8.ValidString(s) && isLocal(local) && isDomain(domain)
}

// splitAddress splits an address at its last @.
func splitAddress(s string) (local, domain string) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func isLocal(s string) bool {
	if len(s) > 1 && s[0] == '"' {
		return isQuoted(s)
	}
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r)
	}) < 0
}

// isQuoted reports whether s is one quoted string without control characters.
func isQuoted(s string) bool {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case c == '"':
			return i == len(s)-1
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] >= 0x7f {
				return false
			}
		}
	}
	return false
}

func isDomain(s string) bool {
	if inner, literal := strings.CutPrefix(s, "["); literal {
		inner, literal = strings.CutSuffix(inner, "]")
		return literal && inner != "" && strings.IndexFunc(inner, func(r rune) bool {
			return !isAlphanumeric(r) && r != '.' && r != ':' && r != '-' || r >= utf8.RuneSelf
		}) < 0
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || strings.IndexFunc(label, func(r rune) bool {
			return !isAlphanumeric(r) && r != '-' && r != '_'
		}) >= 0 {
			return false
		}
	}
	return true
}

// isAlphanumeric reports whether r is a letter or digit of ASCII, or not of ASCII.
// Control characters of Latin-1 are none.
func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0xa0
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
