package config

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// SMTP is where mail programs hand over what they send.
type SMTP struct {
	Listen []string // "host:port", all of them loopback; port 0 takes a free one; none: nothing is taken
	TLS    Security // StartTLS, Implicit or Off
	// SendDelay is how long a message waits before it leaves, so that it can be taken back.
	SendDelay time.Duration
	// MarkAnswered sets \Answered on the message that an answer names, once that was sent.
	MarkAnswered bool
}

// Send says by which server the mail of an account leaves, where that differs from what
// its provider is known for.
type Send struct {
	Host     string // lower case, ASCII; or an IP address without brackets; empty: that of the provider
	Port     int    // 1 to 65535; 0 without a host
	TLS      Security
	Username string         // empty: that of the account
	Password PasswordSource // in the keychain: that of the account
	Auth     Auth           // AuthPassword, or AuthOAuth2: the secret is a token, of the sign-in where there is one
	Pins     []Pin          // those of the account where the host is the same
}

// The usual ports of submission: over TLS (RFC 8314 section 3.3), and with STARTTLS.
const (
	submissionsPort = 465
	submissionPort  = 587
)

const maxSendDelay = time.Hour

func readSMTP(t *table, imap IMAP) SMTP {
	t.unknown()
	s := SMTP{Listen: readListens(t, "127.0.0.1:1587", true), TLS: oneOf(t, "tls", StartTLS, Implicit, Off), MarkAnswered: boolean(t, "mark_answered", true)}
	if !t.has("tls") {
		s.TLS = imap.TLS
	}
	s.SendDelay = text(t, "send_delay", 0, `a duration in quotes, such as "10s"`, func(v string) (time.Duration, *mistake) {
		return readDuration(v, 0, maxSendDelay, "10s")
	})
	for i, address := range s.Listen {
		if containsAddress(imap.Listen, address) {
			t.reportAt(fmt.Sprintf("%s[%d]", joinKey(t.path, "listen"), i+1), &mistake{quote(address) + " is an address of [imap], too", "give each a port of its own"})
		}
	}
	return s
}

// readListens reads a list of loopback addresses.
func readListens(t *table, usual string, mayBeEmpty bool) (list []string) {
	want := fmt.Sprintf("a list of addresses: [%q]", usual)
	if !t.has("listen") {
		return []string{usual}
	}
	values, ok := take[[]any](t, "listen", want)
	if ok && len(values) == 0 && !mayBeEmpty {
		t.report("listen", &mistake{"the list is empty: no mail program could connect", "must be " + want})
	}
	for i, v := range values {
		address, m := "", &mistake{"is " + typeName(v), fmt.Sprintf("must be text in quotes, such as %q", usual)}
		if s, ok := v.(string); ok {
			address, m = readListen(s)
		}
		if m == nil && containsAddress(list, address) {
			m = &mistake{quote(address) + " is listed twice", "keep one of the two"}
		}
		if m != nil {
			t.reportAt(fmt.Sprintf("%s[%d]", joinKey(t.path, "listen"), i+1), m)
			continue
		}
		list = append(list, address)
	}
	return list
}

// send reads how the mail of an account leaves.
func (r *reader) send(t *table, a Account) Send {
	t.unknown()
	s := Send{
		Host:     text(t, "host", "", "text in quotes", readHost),
		TLS:      oneOf(t, "tls", Implicit, StartTLS, None),
		Username: text(t, "username", "", "text in quotes", readUsername),
		Password: r.password(t),
		Auth:     sendAuth(t, a),
		Pins:     readPins(t),
	}
	if s.Host == "" {
		for _, key := range []string{"port", "tls", "tls_pin"} {
			if t.has(key) && t.lacks("host") {
				t.report(key, &mistake{"there is no host that it could be of", `name the SMTP server: host = "smtp.example.com"`})
			}
		}
		s.TLS = ""
		return s
	}
	usual := submissionPort
	if s.TLS == Implicit {
		usual = submissionsPort
	}
	s.Port = readPort(t, usual, "465 is usual with implicit TLS, 587 otherwise")
	if s.TLS == None && !isLoopback(s.Host) {
		r.warn(t, "tls", &mistake{"what account " + a.Name + " sends, and its password or token, go over the network unencrypted", `use tls = "implicit" or "starttls" if the server has it`})
	}
	if !t.has("tls_pin") && s.Host == a.Host {
		s.Pins = a.Pins
	}
	return s
}

// sendAuth is how an account logs in to send: as to fetch, unless the config says otherwise,
// or names a secret for an account that has none of its own.
func sendAuth(t *table, a Account) Auth {
	auth := oneOf(t, "auth", AuthPassword, AuthOAuth2)
	own := t.has("password_file") || t.has("password_command")
	switch {
	case !t.has("auth") && a.Auth == AuthOAuth2 && !(own && a.OAuth != nil):
		return AuthOAuth2
	case t.has("auth") && auth == AuthPassword && a.Auth == AuthOAuth2 && !own:
		t.report("auth", &mistake{"there is no password to send with: the account logs in with a token", "add password_file or password_command here, or delete this line"})
	}
	return auth
}

// addresses reads whose mail an account sends: its own address first, which is its user
// name where that is one.
func addresses(t *table, username string) (list []string) {
	own := text(t, "address", "", "a mail address in quotes", readAddress)
	if !t.has("address") {
		own, _ = readAddress(username)
	}
	if own != "" {
		list = append(list, own)
	}
	const want = `a list of mail addresses: ["ann@example.com"]`
	values, _ := take[[]any](t, "addresses", want)
	for i, v := range values {
		address, m := "", &mistake{"is " + typeName(v), "must be a mail address in quotes"}
		if s, ok := v.(string); ok {
			address, m = readAddress(s)
		}
		if m != nil {
			t.reportAt(fmt.Sprintf("%s[%d]", joinKey(t.path, "addresses"), i+1), m)
			continue
		}
		if !slices.ContainsFunc(list, func(o string) bool { return strings.EqualFold(o, address) }) {
			list = append(list, address)
		}
	}
	return list
}

// sharedAddresses warns of addresses from which mail leaves by another account.
func (r *reader) sharedAddresses(t *table, a Account) {
	for i, address := range a.Addresses {
		by, _ := r.cfg.Sender(a.User, address)
		if by.Name == a.Name {
			continue
		}
		named := func(a Account) bool { return strings.EqualFold(ASCIIDomain(a.Username), address) }
		key := "addresses"
		switch {
		case i == 0 && t.has("address"):
			key = "address"
		case i == 0 && named(a) && named(by): // two mailboxes of one address: there is nothing to take out
			continue
		case i == 0 && named(a):
			key = "username"
		}
		r.warn(t, key, &mistake{fmt.Sprintf("account %s has the address %s, too, and mail from it leaves by that one", quote(by.Name), quote(address)),
			"leave it to the one that is to send it: the sender's address decides by which account a message leaves"})
	}
}

// IsAddress reports whether an account can have a text as its address.
func IsAddress(s string) bool {
	_, m := readAddress(s)
	return m == nil
}

// readAddress reads a mail address without a name before it (RFC 5322 section 3.4.1).
func readAddress(s string) (string, *mistake) {
	a, err := mail.ParseAddress(s)
	at := strings.LastIndexByte(s, '@')
	if err != nil || a.Name != "" || a.Address != s || at < 1 {
		return "", &mistake{quote(s) + " is not a mail address", `write it like "ann@example.com"`}
	}
	if _, m := readHost(s[at+1:]); m != nil || len(s) > 254 {
		return "", &mistake{quote(s) + " is not a mail address", `write it like "ann@example.com"`}
	}
	return ASCIIDomain(s), nil
}

// ASCIIDomain returns a mail address with the name of its domain as DNS has it (RFC 5891):
// in this form servers take it that know no other, and two can be compared. What is no
// address stays as it is.
func ASCIIDomain(address string) string {
	at := strings.LastIndexByte(address, '@')
	if name, err := idna.ToASCII(address[at+1:]); at >= 0 && err == nil {
		return address[:at+1] + name
	}
	return address
}
