package test

import (
	"strconv"
	"strings"
)

func lower(v any) string {
	s, _ := v.(string)
	return strings.ToLower(s)
}

// section is one that BODY[...] can name.
type section struct {
	name string
	leaf bool // its transfer encoding can be undone
}

// sectionsOf lists every section a structure has (RFC 9051 section 6.4.5).
func sectionsOf(structure []any) []section {
	all := []section{{name: ""}, {name: "HEADER"}, {name: "TEXT"}}
	return appendSections(all, "", structure)
}

// appendSections adds the numbered sections of a message whose body has the
// structure p.
func appendSections(all []section, prefix string, p []any) []section {
	if _, multipart := p[0].([]any); !multipart {
		return appendPart(all, prefix+"1", p)
	}
	for i, child := range p {
		child, ok := child.([]any)
		if !ok {
			break
		}
		all = appendPart(all, prefix+strconv.Itoa(i+1), child)
	}
	return all
}

func appendPart(all []section, number string, p []any) []section {
	all = append(all, section{name: number + ".MIME"})
	if _, multipart := p[0].([]any); multipart {
		all = append(all, section{name: number})
		return appendSections(all, number+".", p)
	}
	rfc822 := lower(p[0])+"/"+lower(p[1]) == "message/rfc822"
	all = append(all, section{name: number, leaf: !rfc822})
	if rfc822 {
		all = append(all, section{name: number + ".HEADER"}, section{name: number + ".TEXT"})
		return appendSections(all, number+".", p[8].([]any))
	}
	return all
}
