package conformance

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// token is a part of a response.
type token struct {
	kind kind
	text string
	list []token
}

type kind uint8

const (
	atom  kind = iota
	str        // quoted or literal
	list       // in parentheses
	code       // a response code, in brackets
	human      // the text for people at the end
	other      // something that cannot be read
)

var statusWords = []string{"OK", "NO", "BAD", "BYE", "PREAUTH"}

// tokens reads a response: its first word, and what follows.
func tokens(response string) []token {
	first, rest, _ := strings.Cut(response, " ")
	all := []token{{kind: atom, text: first}}
	if first == "+" {
		return append(all, token{kind: human, text: rest})
	}
	word, text, _ := strings.Cut(rest, " ")
	if slices.Contains(statusWords, strings.ToUpper(word)) {
		all = append(all, token{kind: atom, text: word})
		if strings.HasPrefix(text, "[") {
			p := parser{in: text[1:]}
			all = append(all, token{kind: code, list: p.list(']')})
			text = strings.TrimPrefix(p.in, " ")
		}
		return append(all, token{kind: human, text: text})
	}
	p := parser{in: rest}
	return append(all, p.list(0)...)
}

type parser struct{ in string }

// list reads tokens up to the closing byte, or all for 0. What has no end ends
// with an other token, which nothing matches.
func (p *parser) list(closing byte) []token {
	var all []token
	for {
		if p.in == "" {
			if closing != 0 {
				all = append(all, token{kind: other})
			}
			return all
		}
		switch c := p.in[0]; {
		case c == closing:
			p.in = p.in[1:]
			return all
		case c == ' ':
			p.in = p.in[1:]
		case c == '(':
			p.in = p.in[1:]
			all = append(all, token{kind: list, list: p.list(')')})
		case c == '"':
			all = append(all, p.quoted())
		case c == '{' || strings.HasPrefix(p.in, "~{"):
			all = append(all, p.literal())
		default:
			all = append(all, p.atom(closing))
		}
	}
}

func (p *parser) quoted() token {
	var text strings.Builder
	for i := 1; i < len(p.in); i++ {
		switch p.in[i] {
		case '"':
			p.in = p.in[i+1:]
			return token{kind: str, text: text.String()}
		case '\\':
			i++
		}
		if i < len(p.in) {
			text.WriteByte(p.in[i])
		}
	}
	p.in = ""
	return token{kind: other}
}

var literalHead = regexp.MustCompile(`^~?\{(\d+)\}\r\n`)

func (p *parser) literal() token {
	m := literalHead.FindStringSubmatch(p.in)
	if m == nil {
		p.in = ""
		return token{kind: other}
	}
	n, err := strconv.Atoi(m[1])
	if p.in = p.in[len(m[0]):]; err != nil || n > len(p.in) {
		p.in = ""
		return token{kind: other}
	}
	text := p.in[:n]
	p.in = p.in[n:]
	return token{kind: str, text: text}
}

// atom reads up to a space or parenthesis, except in brackets: BODY[HEADER.FIELDS
// ("Subject")] is one, and the quotes in it mean nothing.
func (p *parser) atom(closing byte) token {
	depth, i := 0, 0
scan:
	for ; i < len(p.in); i++ {
		switch c := p.in[i]; {
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case depth > 0:
		case c == ' ' || c == '(' || c == ')' || c == closing && closing != 0:
			break scan
		}
	}
	if i == 0 {
		i = len(p.in)
	}
	text := p.in[:i]
	p.in = p.in[i:]
	if strings.Contains(text, "[") {
		text = strings.ReplaceAll(text, `"`, "")
	}
	return token{kind: atom, text: text}
}

// bindings are the values of <name> in a script.
type bindings map[string]string

var placeholder = regexp.MustCompile(`<[a-z][a-z0-9-]+>|…`)

// matcher compares responses. What it binds counts only if the match succeeds,
// so it works on a copy.
type matcher struct{ bound bindings }

func (m *matcher) response(want, got string) bool {
	w, g := tokens(want), tokens(got)
	if len(w) == 0 || len(g) == 0 || !m.one(w[0], g[0]) {
		return false
	}
	if w[0].text == "+" {
		return m.one(w[1], g[1])
	}
	w, g = w[1:], g[1:]
	if len(w) > 0 && w[len(w)-1].kind == human {
		return m.status(w, g)
	}
	if len(w) < 2 || len(g) < 2 {
		return m.sequence(w, g)
	}
	switch strings.ToUpper(w[0].text) {
	case "CAPABILITY", "ENABLED":
		return m.one(w[0], g[0]) && m.set(w[1:], g[1:], 1)
	case "FLAGS":
		return m.one(w[0], g[0]) && m.setIn(w[1], g[1], 1) && len(g) == 2
	case "LIST", "LSUB":
		return m.one(w[0], g[0]) && m.setIn(w[1], unmarked(g[1]), 1) && m.sequence(w[2:], g[2:])
	case "STATUS":
		return len(w) == 3 && len(g) == 3 && m.sequence(w[:2], g[:2]) && m.setIn(w[2], g[2], 2)
	case "ESEARCH":
		return m.one(w[0], g[0]) && m.searchResult(w[1:], g[1:])
	}
	if strings.EqualFold(w[1].text, "FETCH") && len(w) == 3 && len(g) == 3 {
		return m.sequence(w[:2], g[:2]) && m.setIn(w[2], g[2], 2)
	}
	return m.sequence(w, g)
}

// status compares OK, its code and its text, as far as the script has them.
func (m *matcher) status(w, g []token) bool {
	if g[len(g)-1].kind != human || !m.one(w[0], g[0]) {
		return false
	}
	if w[1].kind == code {
		if g[1].kind != code || !m.code(w[1].list, g[1].list) {
			return false
		}
	}
	text := w[len(w)-1]
	return text.text == "" || m.one(text, g[len(g)-1])
}

func (m *matcher) code(w, g []token) bool {
	if len(w) == 0 || len(g) == 0 || !m.one(w[0], g[0]) {
		return len(w) == 0 && len(g) == 0
	}
	switch strings.ToUpper(w[0].text) {
	case "CAPABILITY":
		return m.set(w[1:], g[1:], 1)
	case "PERMANENTFLAGS":
		return len(w) == 2 && len(g) == 2 && m.setIn(w[1], g[1], 1)
	}
	return m.sequence(w[1:], g[1:])
}

// searchResult compares what follows ESEARCH: the tag, UID, then pairs.
func (m *matcher) searchResult(w, g []token) bool {
	for len(w) > 0 && len(g) > 0 && (w[0].kind == list || strings.EqualFold(w[0].text, "UID")) {
		if !m.one(w[0], g[0]) {
			return false
		}
		w, g = w[1:], g[1:]
	}
	return m.set(w, g, 2)
}

// unmarked leaves \Marked and \UnMarked out of the attributes of a mailbox.
func unmarked(attrs token) token {
	attrs.list = slices.DeleteFunc(slices.Clone(attrs.list), func(t token) bool {
		return strings.EqualFold(t.text, `\Marked`) || strings.EqualFold(t.text, `\UnMarked`)
	})
	return attrs
}

// isAny reports whether t is … alone.
func isAny(t token) bool { return t.kind == atom && t.text == "…" }

func (m *matcher) sequence(w, g []token) bool {
	for i := range w {
		if isAny(w[i]) && i == len(w)-1 {
			return !slices.ContainsFunc(g[min(i, len(g)):], func(t token) bool { return t.kind == other })
		}
		if i >= len(g) || !m.one(w[i], g[i]) {
			return false
		}
	}
	return len(w) == len(g)
}

func (m *matcher) setIn(w, g token, size int) bool {
	if isAny(w) {
		return true
	}
	return w.kind == list && g.kind == list && m.set(w.list, g.list, size)
}

// set compares elements of size tokens each in any order. Those without a
// placeholder choose first; not:X may not be there.
func (m *matcher) set(w, g []token, size int) bool {
	wanted, open := chunks(w, size)
	given, _ := chunks(g, size)
	slices.SortStableFunc(wanted, func(a, b []token) int { return loose(a) - loose(b) })
	for _, want := range wanted {
		name, absent := strings.CutPrefix(want[0].text, "not:")
		i := slices.IndexFunc(given, func(got []token) bool {
			return m.element(want, got) || absent && strings.EqualFold(got[0].text, name)
		})
		if absent && i < 0 {
			continue
		}
		if absent || i < 0 {
			return false
		}
		given = slices.Delete(given, i, i+1)
	}
	return open || len(given) == 0
}

func chunks(all []token, size int) (parts [][]token, open bool) {
	for len(all) > 0 {
		if isAny(all[0]) {
			all, open = all[1:], true
			continue
		}
		n := min(size, len(all))
		parts = append(parts, all[:n:n])
		all = all[n:]
	}
	return parts, open
}

func loose(element []token) int {
	for _, t := range element {
		if placeholder.MatchString(t.text) {
			return 1
		}
	}
	return 0
}

func (m *matcher) element(w, g []token) bool {
	if len(w) == 2 && len(g) == 2 && strings.EqualFold(w[0].text, "FLAGS") && !isAny(w[1]) {
		return m.one(w[0], g[0]) && m.setIn(w[1], g[1], 1)
	}
	return m.sequence(w, g)
}

// one compares two tokens.
func (m *matcher) one(w, g token) bool {
	switch {
	case w.kind == other || g.kind == other:
		return false
	case isAny(w):
		return true
	case w.kind == list || g.kind == list || w.kind == code || g.kind == code:
		return w.kind == g.kind && m.sequence(w.list, g.list)
	case w.kind == human || g.kind == human:
		return w.kind == g.kind && m.text(w, g.text, "")
	case (w.kind == atom) != (g.kind == atom) && (isNIL(w) || isNIL(g)):
		return false
	case w.kind == atom && g.kind == atom:
		return m.text(w, g.text, "(?i)")
	}
	return m.text(w, g.text, "")
}

func isNIL(t token) bool { return t.kind == atom && strings.EqualFold(t.text, "NIL") }

// text compares with the placeholders of want and binds those that are new. A
// string has no names in it, for it may have <html>.
func (m *matcher) text(w token, got, flags string) bool {
	want := w.text
	var expr strings.Builder
	expr.WriteString("(?s)" + flags + "^")
	var names []string
	at := 0
	for _, loc := range placeholder.FindAllStringIndex(want, -1) {
		expr.WriteString(regexp.QuoteMeta(want[at:loc[0]]))
		name := strings.Trim(want[loc[0]:loc[1]], "<>")
		at = loc[1]
		if value, ok := m.bound[name]; name != "…" && w.kind == str {
			expr.WriteString(regexp.QuoteMeta(want[loc[0]:loc[1]]))
		} else if ok {
			expr.WriteString(regexp.QuoteMeta(value))
		} else if name == "…" {
			expr.WriteString(".*")
		} else {
			names = append(names, name)
			expr.WriteString(`([^\s()\[\]]+)`)
		}
	}
	expr.WriteString(regexp.QuoteMeta(want[at:]) + "$")
	found := regexp.MustCompile(expr.String()).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range names {
		m.bound[name] = found[i+1]
	}
	return true
}
