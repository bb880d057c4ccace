package discover

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/publicsuffix"
)

// Security says how a connection is encrypted; the values are those of the key
// account.tls of the config.
type Security string

// The kinds of Security. None is found in the provider table only.
const (
	Implicit Security = "implicit" // TLS from the first byte
	StartTLS Security = "starttls" // TLS after STLS or STARTTLS
	None     Security = "none"     // in the clear
)

// words says it to a person.
func (s Security) words() string {
	switch s {
	case Implicit:
		return "TLS"
	case StartTLS:
		return "STARTTLS"
	}
	return "not encrypted"
}

// Auth is a way to log in.
type Auth string

// The kinds of Auth.
const (
	Password  Auth = "password"  // the password itself is sent
	Encrypted Auth = "encrypted" // the password proves itself without being sent, as with CRAM-MD5 or APOP
	OAuth2    Auth = "oauth2"    // a token in place of the password
)

// Server is how to reach a POP3 or SMTP server. The zero Server means that none
// is known.
type Server struct {
	Host     string // ASCII, lower case
	Port     int
	TLS      Security
	Username string // empty where no login is needed
	Auth     []Auth // preferred first; empty where the source does not say
}

// Known reports whether there is a server.
func (s Server) Known() bool { return s.Host != "" }

// OAuth2Only reports whether the server takes no password.
func (s Server) OAuth2Only() bool {
	return len(s.Auth) > 0 && !slices.ContainsFunc(s.Auth, func(a Auth) bool { return a != OAuth2 })
}

// String is for people: "pop.example.com:995 (TLS)".
func (s Server) String() string {
	if !s.Known() {
		return "no server"
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) + " (" + s.TLS.words() + ")"
}

// maxUsername is the longest user name that is taken from the network, in bytes.
const maxUsername = 255

// fill replaces the placeholders of autoconfig documents and the provider table
// (draft-ietf-mailmaint-autoconfig).
func fill(template string, a Address) string {
	return strings.NewReplacer("%EMAILADDRESS%", a.String(), "%EMAILLOCALPART%", a.Local, "%EMAILDOMAIN%", a.Domain).Replace(template)
}

// printable returns text from elsewhere as one line without control characters,
// at most most runes.
func printable(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

// sameOwner reports whether two names have the same registrable domain, and so
// the same owner, by the Public Suffix List.
func sameOwner(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := publicsuffix.EffectiveTLDPlusOne(a)
	y, errY := publicsuffix.EffectiveTLDPlusOne(b)
	return errX == nil && errY == nil && x == y
}
