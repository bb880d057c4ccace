package message

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// parseParams reads the parameters of Content-Type and Content-Disposition
// (RFC 2045 section 5.1, RFC 2231), s being what follows the value. Names are
// lower case; nil where there are none. Of several with one name the first
// counts.
func parseParams(s string) map[string]string {
	var params map[string]string
	var pieces []piece
	for n := 0; s != "" && n < maxParams; n++ {
		var name, value string
		var quoted bool
		name, value, quoted, s = nextParam(s)
		if name == "" {
			continue
		}
		if p, ok := parsePiece(name, value); ok {
			pieces = append(pieces, p)
			continue
		}
		if !quoted && name != "name" && name != "filename" {
			// "charset=utf-8 format=flowed": what follows is not of the value.
			value, _, _ = strings.Cut(value, " ")
		}
		if _, have := params[name]; !have {
			value = decodeWords(value)
			params = setParam(params, name, clean(value))
		}
	}
	return joinPieces(params, pieces)
}

func setParam(params map[string]string, name, value string) map[string]string {
	if params == nil {
		params = make(map[string]string, 2)
	}
	params[name] = value
	return params
}

// nextParam splits the first "; name=value" off s.
func nextParam(s string) (name, value string, quoted bool, rest string) {
	s = skipSpace(s)
	s = skipSpace(strings.TrimPrefix(s, ";"))
	end := strings.IndexAny(s, "=;")
	if end < 0 {
		return "", "", false, ""
	}
	if s[end] == ';' {
		return "", "", false, s[end:]
	}
	name = strings.ToLower(strings.TrimSpace(s[:end]))
	if i := strings.LastIndexByte(name, ' '); i >= 0 {
		name = name[i+1:]
	}
	s = skipSpace(s[end+1:])
	if strings.HasPrefix(s, `"`) {
		value, rest = quotedString(s)
		// Up to the next parameter only junk can follow.
		if i := strings.IndexByte(rest, ';'); i >= 0 {
			return name, value, true, rest[i:]
		}
		return name, value, true, ""
	}
	end = strings.IndexByte(s, ';')
	if end < 0 {
		end = len(s)
	}
	value, rest = s[:end], s[end:]
	if i := strings.IndexByte(value, '('); i > 0 && value[i-1] == ' ' {
		value = value[:i] // a comment
	}
	return name, strings.TrimSpace(value), false, rest
}

// quotedString reads the quoted string at the start of s. Without its closing
// quote it is all of s.
func quotedString(s string) (value, rest string) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return unquote(s[1:i]), s[i+1:]
		case '\\':
			i++
		}
	}
	return unquote(s[1:]), ""
}

func unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// skipSpace skips white space and comments.
func skipSpace(s string) string {
	for {
		s = strings.TrimLeft(s, " \t")
		if !strings.HasPrefix(s, "(") {
			return s
		}
		_, s = comment(s)
	}
}

// comment reads the comment at the start of s. Without its closing parenthesis
// it is all of s.
func comment(s string) (text, rest string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return unquote(s[1:i]), s[i+1:]
			}
		}
	}
	return unquote(s[1:]), ""
}

// piece is a parameter in RFC 2231 form: "name*", "name*0" or "name*0*".
type piece struct {
	name    string
	n       int
	encoded bool
	value   string
}

func parsePiece(name, value string) (piece, bool) {
	base, number, found := strings.Cut(name, "*")
	if !found || base == "" {
		return piece{}, false
	}
	if number == "" {
		return piece{base, 0, true, value}, true
	}
	number, encoded := strings.CutSuffix(number, "*")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return piece{}, false
	}
	return piece{base, int(n), encoded, value}, true
}

// joinPieces adds the parameters that pieces are of. They win over plain ones
// of the same name, which are there for old readers.
func joinPieces(params map[string]string, pieces []piece) map[string]string {
	slices.SortStableFunc(pieces, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.n, b.n))
	})
	pieces = slices.CompactFunc(pieces, func(a, b piece) bool { return a.name == b.name && a.n == b.n })
	for len(pieces) > 0 {
		name, charset, encoded := pieces[0].name, "", false
		var value strings.Builder
		for i := 0; len(pieces) > 0 && pieces[0].name == name; i++ {
			p := pieces[0]
			pieces = pieces[1:]
			if p.encoded {
				if i == 0 {
					// RFC 2231 section 4: charset'language'text
					if parts := strings.SplitN(p.value, "'", 3); len(parts) == 3 {
						charset, p.value = parts[0], parts[2]
					}
				}
				encoded = true
				p.value = percentDecode(p.value)
			}
			value.WriteString(p.value)
		}
		text := value.String()
		if encoded {
			text, _ = toUTF8(text, charset)
		} else {
			text = decodeWords(text)
		}
		params = setParam(params, name, clean(text))
	}
	return params
}

func percentDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
