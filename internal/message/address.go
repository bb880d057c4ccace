package message

import "strings"

// What stands in for the missing half of an address. IMAP needs both, because
// one without a host is the start of a group; clients know these from Dovecot.
const (
	missingMailbox = "MISSING_MAILBOX"
	missingDomain  = "MISSING_DOMAIN"
)

// maxToken is how far ahead the end of a token is looked for, so that a list
// of beginnings takes no quadratic time.
const maxToken = 1000

// maxWords is how many words of one address are looked at.
const maxWords = 200

// token is a lexical token of an address list: a word, a quoted string or one
// of the characters @ < > , ; :
type token struct {
	text   string
	kind   byte // 'a' atom, 'q' quoted string, otherwise the character itself
	spaced bool // white space or a comment stood before it
}

// addressParser reads an address list (RFC 5322 section 3.4) and the many
// things that are nearly one: what cannot be read costs one address, not the
// list.
type addressParser struct {
	rest    string
	comment string // last comment since the address began
	words   []token
	list    []Address
	max     int
	inGroup bool
}

// parseAddresses reads an address list from an unfolded field value, at most
// max of them.
func parseAddresses(s string, max int) []Address {
	p := addressParser{rest: s, max: max}
	for len(p.list) < max {
		t, more := p.next()
		if !more {
			break
		}
		switch {
		case t.kind == ',':
			p.flush()
		case t.kind == ';':
			p.flush()
			p.endGroup()
		case t.kind == ':' && !p.inGroup && !p.hasAt():
			p.group()
		case t.kind == '<':
			p.angle()
		case t.kind == '>':
		default:
			p.word(t)
		}
	}
	p.flush()
	p.endGroup()
	return p.list
}

// next returns the next token.
func (p *addressParser) next() (t token, more bool) {
	for {
		trimmed := strings.TrimLeft(p.rest, " \t")
		t.spaced = t.spaced || len(trimmed) < len(p.rest)
		if p.rest = trimmed; !strings.HasPrefix(trimmed, "(") {
			break
		}
		p.comment, p.rest = comment(trimmed)
		t.spaced = true
	}
	s := p.rest
	if s == "" {
		return t, false
	}
	t.kind = 'a'
	end := 1
	switch s[0] {
	case '@', '<', '>', ',', ';', ':':
		t.kind = s[0]
	case '"':
		t.kind = 'q'
		t.text, p.rest = quotedString(s)
		return t, true
	case '[': // a domain literal
		if i := strings.IndexByte(s[:min(len(s), maxToken)], ']'); i > 0 {
			end = i + 1
		}
	default:
		if w, ok := parseWord(s[:min(len(s), maxToken)]); ok {
			end = w.size // may hold any of the characters, against the rules
		} else if end = strings.IndexAny(s, "@<>,;:\"( \t"); end < 0 {
			end = len(s)
		}
	}
	t.text, p.rest = s[:end], s[end:]
	return t, true
}

// word adds to the words of the address.
func (p *addressParser) word(t token) {
	if len(p.words) < maxWords {
		p.words = append(p.words, t)
	}
}

func (p *addressParser) hasAt() bool {
	for _, t := range p.words {
		if t.kind == '@' {
			return true
		}
	}
	return false
}

// angle reads "<local@domain>"; the words before it are the name.
func (p *addressParser) angle() {
	name := phrase(p.words)
	p.words = p.words[:0]
	for {
		before := p.rest
		t, more := p.next()
		if !more || t.kind == '>' {
			break
		}
		if t.kind == '<' || (t.kind == ',' || t.kind == ';') && !p.route() {
			p.rest = before // never closed
			break
		}
		if t.kind == ':' && len(p.words) > 0 && p.words[0].kind == '@' {
			p.words = p.words[:0] // RFC 5322 section 4.4: the route is ignored
			continue
		}
		p.word(t)
	}
	mailbox, host, _ := splitAddress(p.words)
	p.add(name, mailbox, host)
}

// route reports whether the words are the beginning of a source route.
func (p *addressParser) route() bool {
	return len(p.words) > 0 && p.words[0].kind == '@' && strings.IndexByte(p.rest[:min(len(p.rest), maxToken)], ':') > 0
}

// group starts a group named by the words so far.
func (p *addressParser) group() {
	name := phrase(p.words)
	if name == "" {
		name = "group" // an empty one would be the end of a group
	}
	p.list = append(p.list, Address{Mailbox: name})
	p.words, p.comment, p.inGroup = p.words[:0], "", true
}

func (p *addressParser) endGroup() {
	if p.inGroup {
		p.list = append(p.list, Address{})
		p.inGroup = false
	}
}

// flush ends an address that had no angle brackets: "local@domain (name)".
func (p *addressParser) flush() {
	if len(p.words) == 0 {
		return
	}
	if len(p.words) == 1 && p.words[0].kind == 'q' || !p.hasAt() && len(p.words) > 1 {
		p.add(phrase(p.words), "", "")
		return
	}
	mailbox, host, name := splitAddress(p.words)
	if name == "" {
		name = p.comment
	}
	p.add(name, mailbox, host)
}

func (p *addressParser) add(name, mailbox, host string) {
	if mailbox == "" {
		mailbox = missingMailbox
	}
	if host == "" {
		host = missingDomain
	}
	p.list = append(p.list, Address{Name: clean(decodeWords(name)), Mailbox: mailbox, Host: host})
	p.words, p.comment = p.words[:0], ""
}

// phrase joins words to a name.
func phrase(words []token) string {
	if len(words) == 1 {
		return strings.TrimSpace(words[0].text)
	}
	var b strings.Builder
	for i, t := range words {
		if i > 0 && (t.spaced || t.kind == 'q') {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return strings.TrimSpace(b.String())
}

// splitAddress splits the words of an addr-spec at their last @. Words that
// belong neither to the local part nor to the domain are a name. White space
// may stand around dots and the @ (RFC 5322 section 4.4).
func splitAddress(words []token) (mailbox, host, name string) {
	at := -1
	for i, t := range words {
		if t.kind == '@' {
			at = i
		}
	}
	local := words
	if at >= 0 {
		local = words[:at]
		domain := words[at+1:]
		for i, t := range domain {
			if i > 0 && t.spaced && !dotted(domain[i-1], t) {
				domain = domain[:i]
				break
			}
		}
		host = join(domain)
	}
	from := len(local)
	for from > 0 {
		from--
		if from == 0 || local[from].spaced && !dotted(local[from-1], local[from]) {
			break
		}
	}
	return join(local[from:]), host, phrase(local[:from])
}

// dotted reports whether a dot joins two words.
func dotted(a, b token) bool {
	return strings.HasSuffix(a.text, ".") || strings.HasPrefix(b.text, ".")
}

func join(words []token) string {
	if len(words) == 1 {
		return words[0].text
	}
	var b strings.Builder
	for _, t := range words {
		b.WriteString(t.text)
	}
	return b.String()
}
