package message

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// param is a parameter of Content-Type or Content-Disposition.
type param struct{ name, value string }

// piece is a parameter in RFC 2231 form: "name*", "name*0" or "name*0*".
type piece struct {
	param
	n        uint32
	extended bool
}

// params reads the parameters that follow (RFC 2045 section 5.1). Those in pieces
// come last, joined, under the name "name*" where one of them is encoded (RFC 2231
// section 3). What is broken is left out.
func (l *lexer) params() []param {
	var params []param
	var pieces []piece
	var n uint32 // of the piece before, which one without a number has as well
	for range maxParams {
		p, o := l.param()
		if o == ended {
			break
		}
		if o == broken {
			if len(l.in) == 0 {
				break
			}
			l.in = l.in[1:]
			continue
		}
		if piece, ok := parsePiece(p, &n); ok {
			pieces = append(pieces, piece)
		} else {
			params = append(params, p)
		}
	}
	return joinPieces(params, pieces)
}

// param reads "; name=value".
func (l *lexer) param() (p param, o outcome) {
	if len(l.in) == 0 {
		return p, ended
	}
	if l.in[0] != ';' {
		return p, broken
	}
	l.in = l.in[1:]
	if l.space() != more {
		return p, broken
	}
	name, o := l.token(nil)
	if o != more || l.in[0] != '=' {
		return p, broken
	}
	l.in = l.in[1:]
	var value []byte
	if o = l.space(); o == more {
		switch l.in[0] {
		case '"':
			value, o = l.quoted(nil)
		case '=': // name==?utf-8?b?...?=
			value = l.run(nil, func(c byte) bool { return strings.IndexByte("; \t\r\n", c) < 0 })
			value, _, _ = bytes.Cut(value, []byte{0})
		default:
			value, o = l.token(nil)
		}
	}
	if o == broken {
		return p, broken
	}
	return param{string(name), string(value)}, more
}

func parsePiece(p param, n *uint32) (piece, bool) {
	base, number, found := strings.Cut(p.name, "*")
	if !found {
		return piece{}, false
	}
	extended := number == ""
	if !extended {
		*n = 0
		for number != "" && '0' <= number[0] && number[0] <= '9' {
			*n, number = *n*10+uint32(number[0]-'0'), number[1:]
		}
		number, extended = strings.CutSuffix(number, "*")
	}
	return piece{param{base, p.value}, *n, extended}, number == ""
}

// joinPieces adds the parameters that pieces are of.
func joinPieces(params []param, pieces []piece) []param {
	slices.SortStableFunc(pieces, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.n, b.n))
	})
	for len(pieces) > 0 {
		same := 0
		complete, extended := true, false
		for ; same < len(pieces) && strings.EqualFold(pieces[same].name, pieces[0].name); same++ {
			complete = complete && pieces[same].n == uint32(same)
			extended = extended || pieces[same].extended
		}
		if complete {
			params = append(params, joined(pieces[:same], extended))
		} else {
			for _, p := range pieces[:same] {
				name := fmt.Sprintf("%s*%d", p.name, p.n)
				if p.extended {
					name += "*"
				}
				params = append(params, param{name, p.value})
			}
		}
		pieces = pieces[same:]
	}
	return params
}

func joined(pieces []piece, extended bool) param {
	name := pieces[0].name
	if !extended {
		var value strings.Builder
		for _, p := range pieces {
			value.WriteString(p.value)
		}
		return param{name, value.String()}
	}
	var value strings.Builder
	if !pieces[0].extended {
		value.WriteString("''")
	}
	for _, p := range pieces {
		if !p.extended {
			p.value = strings.ReplaceAll(p.value, "%", "%25")
		}
		value.WriteString(p.value)
	}
	return param{name + "*", value.String()}
}

// lookup returns the first parameter of a name.
func lookup(params []param, name string) (string, bool) {
	for _, p := range params {
		if strings.EqualFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}

// decoded returns a parameter for a person to read.
func decoded(params []param, name string) string {
	if value, ok := lookup(params, name+"*"); ok { // RFC 2231 section 4: charset'language'text
		charset := ""
		if parts := strings.SplitN(value, "'", 3); len(parts) == 3 {
			charset, value = parts[0], parts[2]
		}
		value, _ = toUTF8(percentDecode(value), charset)
		return clean(value)
	}
	value, _ := lookup(params, name)
	return (&headerText{}).decode([]byte(value))
}

// appendParams appends a list of parameters. A text has a charset (RFC 2045 section
// 5.2).
func appendParams(dst []byte, params []param, text bool) []byte {
	if text {
		if _, ok := lookup(params, "charset"); !ok {
			params = append(slices.Clip(params), param{"charset", "us-ascii"})
		}
	}
	if len(params) == 0 {
		return append(dst, "NIL"...)
	}
	for i, p := range params {
		dst = append(dst, "( "[min(i, 1)])
		dst = appendNString(dst, []byte(p.name))
		dst = appendNString(append(dst, ' '), []byte(p.value))
	}
	return append(dst, ')')
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
