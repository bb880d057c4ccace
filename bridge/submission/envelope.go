package submission

import (
	"fmt"
	"strconv"
	"strings"
)

// envelope is what MAIL and RCPT have said.
type envelope struct {
	from       string // "" for <>
	utf8       bool   // SMTPUTF8 was asked for
	recipients []string
	dsn        map[string]string   // parameters of RFC 3461 by recipient, those of MAIL by ""
	seen       map[string]struct{} // keys of recipients
}

var errUTF8 = reply{code: 553, enhanced: "5.6.7", text: "An address with letters outside of ASCII needs SMTPUTF8"}

// mailFrom answers MAIL (RFC 5321 section 4.1.1.2).
func (s *session) mailFrom(arg string) reply {
	from, params, valid := argument(arg, "FROM:")
	switch {
	case !s.greeted:
		return reply{code: 503, enhanced: "5.5.1", text: "Send EHLO first"}
	case s.mail != nil:
		return reply{code: 503, enhanced: "5.5.1", text: "A message has been begun already, send RSET to drop it"}
	case !valid:
		return reply{code: 501, enhanced: "5.5.4", text: "Expected MAIL FROM:<address>"}
	case from != "" && !isAddress(from):
		return reply{code: 501, enhanced: "5.1.7", text: "The sender is not an address with a domain"}
	case s.who.MaySend != nil:
		return s.replyTo(s.who.MaySend)
	}
	m := &envelope{from: from, seen: make(map[string]struct{}), dsn: make(map[string]string)}
	for _, p := range params {
		if r := s.parameter(m, p); r.code != 0 {
			return r
		}
	}
	if !isASCII(from) && !m.utf8 {
		return errUTF8
	}
	s.mail = m
	return reply{code: 250, enhanced: "2.1.0", text: "Sender accepted"}
}

// parameter takes one parameter of MAIL: SIZE (RFC 1870), BODY (RFC 6152), AUTH (RFC
// 4954 section 5, which is not passed on), SMTPUTF8 (RFC 6531), and RET and ENVID (dsn.go).
func (s *session) parameter(m *envelope, p string) reply {
	name, value, _ := strings.Cut(p, "=")
	switch name = strings.ToUpper(name); {
	case name == "SIZE":
		size, err := strconv.ParseUint(value, 10, 63)
		if err != nil && strings.Trim(value, "0123456789") != "" || value == "" {
			return reply{code: 501, enhanced: "5.5.4", text: "Expected SIZE=number"}
		}
		if limit := s.srv.maxSize(); int64(size) > limit { // at most 1<<63-1, also where it is more
			return tooLarge("", limit)
		}
	case name == "BODY" && (strings.EqualFold(value, "7BIT") || strings.EqualFold(value, "8BITMIME")), name == "AUTH":
	case name == "SMTPUTF8" && value == "":
		if !s.srv.opt.UTF8() {
			return reply{code: 550, enhanced: "5.6.7", text: "No outgoing server has said so far that it takes mail with addresses outside of ASCII"}
		}
		m.utf8 = true
	case s.isDSN(name, "MAIL"):
		return m.ask("", name, value)
	default:
		return reply{code: 555, enhanced: "5.5.4", text: "A parameter of MAIL is not supported: " + p}
	}
	return reply{}
}

func tooLarge(account string, limit int64) reply {
	text := fmt.Sprintf("The message is too large, at most %d bytes can be sent", limit)
	if account != "" {
		text += " by account " + account
	}
	return reply{code: 552, enhanced: "5.3.4", text: text}
}

// rcptTo answers RCPT (RFC 5321 section 4.1.1.3). A recipient that is there already is
// accepted and counts once.
func (s *session) rcptTo(arg string) reply {
	to, params, valid := argument(arg, "TO:")
	switch {
	case s.mail == nil:
		return reply{code: 503, enhanced: "5.5.1", text: "Send MAIL first"}
	case !valid:
		return reply{code: 501, enhanced: "5.5.4", text: "Expected RCPT TO:<address>"}
	case !isAddress(to):
		return reply{code: 501, enhanced: "5.1.3", text: "The recipient is not an address with a domain"}
	case !isASCII(to) && !s.mail.utf8:
		return errUTF8
	}
	local, domain := splitAddress(to)
	key := local + "@" + strings.ToLower(domain)
	if _, twice := s.mail.seen[key]; !twice {
		if len(s.mail.recipients) == maxRecipients {
			return reply{code: 452, enhanced: "4.5.3", text: fmt.Sprintf("Too many recipients, at most %d", maxRecipients)}
		}
		for _, p := range params {
			name, value, _ := strings.Cut(p, "=")
			if name = strings.ToUpper(name); !s.isDSN(name, "RCPT") {
				return reply{code: 555, enhanced: "5.5.4", text: "A parameter of RCPT is not supported: " + p}
			}
			if r := s.mail.ask(to, name, value); r.code != 0 {
				delete(s.mail.dsn, to)
				return r
			}
		}
		s.mail.seen[key] = struct{}{}
		s.mail.recipients = append(s.mail.recipients, to)
	}
	return reply{code: 250, enhanced: "2.1.5", text: "Recipient accepted"}
}
