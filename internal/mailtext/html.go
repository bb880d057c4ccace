package mailtext

import (
	"bytes"
	"html"
	"io"
)

// htmlText passes the text of an HTML document on: tags, comments, scripts and
// style sheets dropped, entities decoded. It holds no more than a tag name or
// an entity, whatever is written to it: a picture in an attribute may have
// megabytes, which is why no tokenizer that holds whole tags is used.
type htmlText struct {
	w     io.Writer
	state htmlState
	name  []byte // the tag name or entity being read, or the last bytes of a comment
	quote byte   // the quote an attribute value is in, 0 for none
	value bool   // in a tag, just after "="
	until string // "script" or "style": what the end tag must be
	out   []byte
}

type htmlState uint8

const (
	htmlPlain htmlState = iota
	htmlEntity
	htmlName    // after "<"
	htmlTag     // after the name of a tag
	htmlComment // in <!-- -->
)

// maxName is the longest tag name or entity that is looked at.
const maxName = 32

// inline are the tags that do not separate words.
var inline = map[string]bool{
	"a": true, "abbr": true, "b": true, "big": true, "code": true, "del": true, "em": true, "font": true, "i": true,
	"ins": true, "mark": true, "nobr": true, "s": true, "small": true, "span": true, "strike": true, "strong": true,
	"sub": true, "sup": true, "tt": true, "u": true, "wbr": true,
}

func (h *htmlText) Write(p []byte) (int, error) {
	h.out = h.out[:0]
	for rest := p; len(rest) > 0; {
		if h.state == htmlPlain && h.until == "" { // as most of it is
			n := bytes.IndexAny(rest, "<&")
			if n < 0 {
				n = len(rest)
			}
			h.out = append(h.out, rest[:n]...)
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
		h.take(rest[0])
		rest = rest[1:]
	}
	if _, err := h.w.Write(h.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// end writes an entity that was not finished.
func (h *htmlText) end() error {
	h.out = h.out[:0]
	if h.state == htmlEntity {
		h.entity()
	}
	_, err := h.w.Write(h.out)
	return err
}

func (h *htmlText) take(c byte) {
	switch h.state {
	case htmlEntity:
		if isAlnum(c) || c == '#' && len(h.name) == 1 {
			if h.name = append(h.name, c); len(h.name) < maxName {
				return
			}
			h.entity()
			return
		}
		if c == ';' {
			h.name = append(h.name, c)
			h.entity()
			return
		}
		h.entity()
		h.plain(c)
	case htmlName:
		h.takeName(c)
	case htmlTag:
		h.takeTag(c)
	case htmlComment:
		if c == '>' && (bytes.HasSuffix(h.name, []byte("--")) || string(h.name) == "--!") {
			h.state = htmlPlain
			return
		}
		if len(h.name) == 3 {
			h.name = append(h.name[:0], h.name[1:]...)
		}
		h.name = append(h.name, c)
	default:
		h.plain(c)
	}
}

func (h *htmlText) plain(c byte) {
	switch {
	case c == '<':
		h.state, h.name = htmlName, h.name[:0]
	case h.until != "":
	case c == '&':
		h.state, h.name = htmlEntity, append(h.name[:0], c)
	default:
		h.out = append(h.out, c)
	}
}

// entity writes the entity that was read, as it is where there is none of that
// name.
func (h *htmlText) entity() {
	h.out = append(h.out, html.UnescapeString(string(h.name))...)
	h.state = htmlPlain
}

func (h *htmlText) takeName(c byte) {
	first := len(h.name) == 0
	if isAlnum(c) && (!first || c > '9') || c == '-' && !first || (c == '!' || c == '/' || c == '?') && first {
		if len(h.name) < maxName {
			h.name = append(h.name, lower(c))
		}
		if string(h.name) == "!--" && h.until == "" {
			h.state, h.name = htmlComment, append(h.name[:0], "--"...) // "<!-->" is a whole one
		}
		return
	}
	if h.until != "" && string(h.name) != "/"+h.until { // "a<b" in a script
		h.state = htmlPlain
		h.plain(c)
		return
	}
	if first { // "a < b"
		h.state = htmlPlain
		h.out = append(h.out, '<')
		h.plain(c)
		return
	}
	h.state, h.quote, h.value = htmlTag, 0, false
	h.opened(string(h.name))
	h.takeTag(c)
}

// opened notes a tag: in a script nothing counts but its end.
func (h *htmlText) opened(name string) {
	switch {
	case h.until != "":
		h.until = ""
	case name == "script" || name == "style":
		h.until = name
	case !inline[string(bytes.TrimPrefix([]byte(name), []byte("/")))]:
		h.out = append(h.out, ' ')
	}
}

func (h *htmlText) takeTag(c byte) {
	switch {
	case h.quote != 0:
		if c == h.quote {
			h.quote = 0
		}
	case c == '>':
		h.state = htmlPlain
	case h.value && (c == '"' || c == '\''):
		h.quote, h.value = c, false
	case c == '=':
		h.value = true
	case c != ' ' && c != '\t' && c != '\r' && c != '\n':
		h.value = false
	}
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
