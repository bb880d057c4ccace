package message

import "bytes"

// What stands in for the missing half of an address. IMAP needs both, because
// one without a host is the start of a group; clients know these from Dovecot.
const (
	missingMailbox = "MISSING_MAILBOX"
	missingDomain  = "MISSING_DOMAIN"
)

// address is one of a list while it is read; what is nil is NIL.
type address struct{ name, route, mailbox, hostPart []byte }

// addressParser makes the text of an address list of the value of a field (RFC
// 5322 section 3.4), broken ones included, as Dovecot does.
type addressParser struct {
	lexer
	address
	out  []byte
	left int // addresses that may still come
}

// appendAddresses appends the addresses of a field, at most max of them, to the text
// of a list that lacks its last parenthesis, nil for none. It returns how many there
// are.
func appendAddresses(dst, value []byte, max int) ([]byte, int) {
	p := addressParser{lexer: lexer{in: value}, out: dst, left: max}
	if p.space() == more {
		p.list()
	}
	return p.out, max - p.left
}

// list reads up to what is no address.
func (p *addressParser) list() {
	for p.left > 0 {
		o, group := p.group()
		if !group {
			o = p.mailboxSpec()
		}
		if o == ended || !p.at(',') {
			return
		}
		p.in = p.in[1:]
		if o := p.space(); o != more {
			if o == broken {
				p.addFixed()
			}
			return
		}
	}
}

// add appends the address and begins the next.
func (p *addressParser) add() {
	if p.left--; p.out == nil {
		p.out = []byte("(")
	}
	p.out = append(p.out, '(')
	if p.name == nil {
		p.out = append(p.out, "NIL"...)
	} else {
		p.out = appendDisplay(p.out, p.name)
	}
	for _, s := range [][]byte{p.route, p.mailbox, p.hostPart} {
		p.out = appendNString(append(p.out, ' '), s)
	}
	p.out, p.address = append(p.out, ')'), address{}
}

func (p *addressParser) addFixed() {
	if p.mailbox == nil {
		p.mailbox = []byte(missingMailbox)
	}
	if len(p.hostPart) == 0 {
		p.hostPart = []byte(missingDomain)
	}
	p.add()
}

// group reads a group. Where there is none it reads nothing and returns false.
func (p *addressParser) group() (o outcome, ok bool) {
	start := p.in
	name, o := p.phrase([]byte{})
	if o != more || p.in[0] != ':' {
		p.in = start
		return broken, false
	}
	p.in = p.in[1:]
	o = p.space()
	p.mailbox = name
	p.add()
	for first := true; o == more && (!first || p.in[0] != ';') && p.left > 0; first = false {
		p.mailboxSpec()
		if !p.at(',') {
			break
		}
		p.in = p.in[1:]
		if p.space() != more {
			o = broken
		}
	}
	if o != broken && p.at(';') {
		p.in = p.in[1:]
		o = p.space()
	} else {
		o = broken
	}
	p.add()
	if o == ended {
		return ended, true
	}
	return more, true
}

// mailboxSpec reads one address that is no group.
func (p *addressParser) mailboxSpec() outcome {
	start := p.in
	o := p.nameAddr()
	if o == broken {
		p.in = start
		o = p.addrSpec()
	}
	p.addFixed()
	return o
}

// nameAddr reads a name, perhaps none, and an address in angle brackets.
func (p *addressParser) nameAddr() outcome {
	name, o := p.phrase(nil)
	if o != more || p.in[0] != '<' {
		return broken
	}
	if p.name = name; len(name) == 0 {
		p.name = nil
	}
	p.in = p.in[1:]
	if !p.angle() {
		p.hostPart = []byte("SYNTAX_ERROR")
	}
	return p.lexer.rest()
}

// angle reads what stands in angle brackets, and the last of these.
func (p *addressParser) angle() bool {
	if p.space() != more {
		return false
	}
	if p.in[0] == '@' {
		if p.routes() && p.at(':') {
			p.in = p.in[1:]
		} else if p.route = []byte("INVALID_ROUTE"); len(p.in) == 0 {
			return false
		}
		if p.space() != more {
			return false
		}
	}
	if p.in[0] != '>' {
		if _, o := p.local(); o != more || p.in[0] == '@' && p.host() != more {
			return false
		}
	}
	if p.in[0] != '>' {
		return false
	}
	p.in = p.in[1:]
	return p.space() != broken
}

// routes reads a source route (RFC 5322 section 4.4).
func (p *addressParser) routes() bool {
	var route []byte
	for p.at('@') {
		if len(route) > 0 {
			route = append(route, ',')
		}
		var o outcome
		if route, o = p.domain(append(route, '@')); o != more {
			return false
		}
		for p.space() == more && p.in[0] == ',' {
			p.in = p.in[1:]
		}
	}
	if len(p.in) == 0 {
		return false
	}
	p.route = route
	return true
}

// local reads the part before the @. What was read of a broken one is returned, too.
func (p *addressParser) local() (text []byte, o outcome) {
	if p.in[0] == '"' {
		text, o = p.quoted([]byte{})
	} else {
		text, o = p.dots([]byte{})
	}
	if o != broken {
		p.mailbox = text
	}
	return text, o
}

// dots reads atoms with any number of dots before, between and behind them.
func (p *addressParser) dots(text []byte) ([]byte, outcome) {
	o := broken
	for {
		for p.at('.') {
			text, p.in, o = append(text, '.'), p.in[1:], more
		}
		if len(p.in) == 0 {
			return text, min(o, ended)
		}
		if p.in[0] == '@' {
			return text, o
		}
		if text, o = p.atom(text); o != more || p.in[0] != '.' {
			return text, o
		}
	}
}

func (p *addressParser) host() outcome {
	text, o := p.domain([]byte{})
	if o != broken {
		p.hostPart = text
	}
	return o
}

// addrSpec reads an address without angle brackets, whose name is in a comment.
func (p *addressParser) addrSpec() outcome {
	p.comment = p.comment[:0]
	isQuoted := p.in[0] == '"'
	text, o := p.local()
	hasHost := o != ended && p.at('@')
	if hasHost {
		if h := p.host(); h != more {
			o = h
		}
	}
	switch {
	case len(p.comment) > 0:
		p.name = bytes.Clone(p.comment)
	case !hasHost:
		p.nameOnly(text, isQuoted)
		o = broken
	}
	return o
}

// nameOnly goes on after text without a domain: several words are a name, and so
// is a quoted string, one word alone is a mailbox.
func (p *addressParser) nameOnly(text []byte, isQuoted bool) {
	name, _ := p.phrase(append(bytes.Clone(text), ' '))
	switch {
	case len(name) > len(text)+1:
		p.name, p.mailbox = name, nil
	case isQuoted && p.mailbox != nil:
		p.name, p.mailbox = p.mailbox, nil
	}
}
