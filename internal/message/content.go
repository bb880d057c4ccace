package message

import "strings"

// content is what the Content- fields of a part say, as the texts that
// BODYSTRUCTURE has of it; nil is absent. Of a repeated field the first that says
// something counts.
type content struct {
	typed         bool    // there is a Content-Type
	kind, subtype string  // as written; empty where the type breaks the rules
	list          []param // of the type

	params, id, description, encoding, md5, disposition, language, location []byte

	transfer string // encoding, lower case
	final    bool   // disposition has parameters
}

// contentField takes in the value of a field whose name follows "content-".
func (p *parser) contentField(c *content, name string, value []byte) {
	line := func(to *[]byte) {
		if *to == nil {
			*to = p.keep(appendLine(nil, value))
		}
	}
	l := lexer{in: value}
	switch name {
	case "type":
		if !c.typed {
			if c.contentType(&l); strings.EqualFold(c.kind, "multipart") && c.subtype == "" {
				c.kind, c.subtype = "application", "octet-stream"
			}
			if p.keep([]byte(c.kind+c.subtype)) == nil {
				c.kind, c.subtype = "", ""
			}
			c.params = p.keep(appendParams(nil, c.list, strings.EqualFold(c.kind, "text")))
		}
	case "transfer-encoding":
		if l.space(); c.encoding == nil {
			token, o := l.token(nil)
			if len(token) > 0 && (o == ended || o == more && l.in[0] == ';') { // some write a ; behind it
				c.transfer = strings.ToLower(string(token))
			}
			if len(token) > 0 && o == ended {
				c.encoding = p.keep(appendNString(nil, token))
			}
		}
	case "disposition":
		if l.space(); !c.final {
			p.disposition(c, &l)
		}
	case "language":
		if l.space(); c.language == nil {
			c.language = p.keep(appendLanguages(nil, &l))
		}
	case "id":
		line(&c.id)
	case "description":
		line(&c.description)
	case "md5":
		line(&c.md5)
	case "location":
		line(&c.location)
	}
}

// contentType reads a Content-Type.
func (c *content) contentType(l *lexer) {
	c.typed = true
	var kind, subtype []byte
	o := l.space()
	if o == more {
		kind, o = l.token(nil)
	}
	if o != more || len(kind) == 0 {
		c.kind = string(kind)
		return
	}
	if l.in[0] != '/' {
		return
	}
	l.in = l.in[1:]
	if l.space() != more {
		return
	}
	if subtype, o = l.token(nil); o == broken || len(subtype) == 0 || o == more && l.in[0] != ';' {
		return
	}
	c.kind, c.subtype = string(kind), string(subtype)
	c.list = l.params()
}

func (p *parser) disposition(c *content, l *lexer) {
	token, o := l.token([]byte{})
	if o == broken {
		return
	}
	params := l.params()
	text := appendNString([]byte("("), token)
	c.disposition = p.keep(append(appendParams(append(text, ' '), params, false), ')'))
	c.final = params != nil
}

// appendLanguages appends the list of languages, or nothing where there is none
// (RFC 3282).
func appendLanguages(dst []byte, l *lexer) []byte {
	for i := 0; ; i++ {
		tag, o := l.atom(nil)
		if o == broken {
			break
		}
		dst = appendNString(append(dst, "( "[min(i, 1)]), tag)
		if !l.at(',') {
			break
		}
		l.in = l.in[1:]
		l.space()
	}
	if len(dst) > 0 {
		dst = append(dst, ')')
	}
	return dst
}
