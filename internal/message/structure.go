package message

import (
	"slices"
	"strconv"
	"strings"
)

const emptyText = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)`

// maxWord is how much of a type or an encoding a Part has, in bytes.
const maxWord = 64

// describe sets what c says about part.
func (c *content) describe(part *Part, digest bool) {
	word := func(s string) string { return strings.ToLower(s[:min(len(s), maxWord)]) }
	part.Type, part.Subtype = word(c.kind), word(c.subtype)
	switch {
	case digest && !c.typed:
		part.Type, part.Subtype = "message", "rfc822" // RFC 2046 section 5.1.5
	case part.Type == "" || part.Type == "text" && part.Subtype == "":
		part.Type, part.Subtype = "text", "plain" // RFC 2045 section 5.2
	case part.Subtype == "":
		part.Type, part.Subtype = "application", "octet-stream"
	}
	part.Encoding = orElse(word(c.transfer), "7bit")
	part.Charset = decoded(c.list, "charset")
	part.Charset = part.Charset[:min(len(part.Charset), maxWord)]
	format, _ := lookup(c.list, "format")
	part.Flowed = strings.EqualFold(format, "flowed")
}

// structure completes the text of part, which begins at start of what there is. Its
// parenthesis is there, and the texts of its children (RFC 9051 section 7.5.2).
func (p *parser) structure(part *Part, c *content, start int) {
	if part.Multipart() {
		p.out = appendNString(append(p.out, ' '), []byte(c.subtype))
		p.out = appendOr(p.out, c.params, "NIL")
	} else {
		head := appendOr(c.types(part), c.id, "NIL")
		head = appendOr(head, c.description, "NIL")
		head = append(appendOr(head, c.encoding, `"7bit"`), ' ')
		head = strconv.AppendInt(head, part.End-part.Body, 10)
		if part.Message() {
			head = append(head, ' ')
		}
		p.out = slices.Insert(p.out, start+1, head...)
		if part.Message() || !c.typed || strings.EqualFold(c.kind, "text") {
			p.out = strconv.AppendInt(append(p.out, ' '), part.Lines, 10)
		}
		p.out = appendOr(p.out, c.md5, "NIL")
	}
	p.out = appendOr(p.out, c.disposition, "NIL")
	p.out = appendOr(p.out, c.language, "NIL")
	p.out = append(appendOr(p.out, c.location, "NIL"), ')')
}

// appendOr appends a space and text, or other where there is none.
func appendOr(dst, text []byte, other string) []byte {
	if dst = append(dst, ' '); text == nil {
		return append(dst, other...)
	}
	return append(dst, text...)
}

// types returns type, subtype and parameters.
func (c *content) types(part *Part) []byte {
	var text []byte
	switch {
	case part.Message():
		text = []byte(`"message" "rfc822" `)
		if c.params == nil {
			return append(text, "NIL"...)
		}
	case !c.typed:
		return []byte(`"text" "plain" ("charset" "us-ascii")`)
	default:
		text = append(appendNString(nil, []byte(c.kind)), ' ')
		text = append(appendNString(text, []byte(c.subtype)), ' ')
	}
	if c.params == nil {
		return appendParams(text, nil, strings.EqualFold(c.kind, "text"))
	}
	return append(text, c.params...)
}

// AppendBody appends BODY, which is a BODYSTRUCTURE without the extension data (RFC
// 9051 section 7.5.2).
func AppendBody(dst, structure []byte) []byte {
	values := valuesOf(structure)
	if len(values) < 5 {
		return append(dst, structure...)
	}
	const message = 14 // values of a message/rfc822, the ninth of which is its structure
	multipart := values[0][0] == '('
	dst = append(dst, '(')
	for i, value := range values[:len(values)-4] {
		nested := multipart && value[0] == '(' || len(values) == message && !multipart && i == 8
		if i > 0 && (!multipart || !nested) {
			dst = append(dst, ' ')
		}
		if nested {
			dst = AppendBody(dst, value)
		} else {
			dst = append(dst, value...)
		}
	}
	return append(dst, ')')
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
