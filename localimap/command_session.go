package localimap

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/serving"
)

var errLogout = errors.New("the client has logged out")

// noop answers NOOP and CHECK (RFC 9051 section 6.1.2, RFC 3501 section 6.4.1).
func (s *session) noop() (string, error) { return "", nil }

// logout answers LOGOUT (RFC 9051 section 6.1.3).
func (s *session) logout() (string, error) { return "", errLogout }

// id answers ID (RFC 2971). Nothing is told; what the client calls itself is shown to
// people.
func (s *session) id() (string, error) {
	r := s.in
	said := make(map[string]string)
	if r.SP(); r.Peek() == '(' {
		r.List(func() {
			field := strings.ToLower(r.String())
			r.SP()
			said[field], _ = r.NString()
		})
	} else if _, isNil := r.NString(); !isNil {
		r.Fail(&imapwire.SyntaxError{Text: "Expected a list or NIL"})
	}
	if err := r.End(); err != nil {
		return "", err
	}
	program := cut(oneLine(said["name"]+" "+said["version"]), maxProgram)
	s.program.Store(&program)
	s.conn.line("* ID NIL")
	return "", nil
}

// namespace answers NAMESPACE: there is one, without a prefix (RFC 9051 section
// 6.3.10).
func (s *session) namespace() (string, error) {
	s.conn.line(`* NAMESPACE (("" "/")) NIL NIL`)
	return "", nil
}

// startTLS answers STARTTLS (RFC 9051 section 6.2.1).
func (s *session) startTLS() (string, error) {
	if !s.clear {
		return "", bad("TLS cannot be started")
	}
	s.conn.line("%s OK Begin TLS negotiation now", s.tag)
	if s.in.Waiting() || s.secure() != nil { // what was sent in the clear came from whomever
		_ = s.conn.flush() // kept in conn.err
		s.conn.Abort()
	}
	s.clear = false
	return "", errAnswered
}

// errAnswered is for a command that gives its tagged response itself, or none
// because the connection ends.
var errAnswered = errors.New("answered")

// login answers LOGIN (RFC 9051 section 6.2.3).
func (s *session) login() (string, error) {
	if s.clear { // before the client sends its password as a literal
		return "", errPrivacy
	}
	s.in.SP()
	name := s.in.AString()
	s.in.SP()
	password := s.in.AString()
	if err := s.in.End(); err != nil {
		return "", err
	}
	return s.authorize(name, password)
}

var (
	errPrivacy = no("PRIVACYREQUIRED", "TLS is required to log in")
	errSASL    = no(imap.ResponseCodeAuthenticationFailed, "Invalid SASL response")
)

// authenticate answers AUTHENTICATE with the mechanism PLAIN (RFC 4616, with an
// initial response as in RFC 4959).
func (s *session) authenticate() (string, error) {
	r := s.in
	r.SP()
	mechanism := strings.ToUpper(r.Atom())
	response := ""
	if r.Err() == nil && !r.AtEnd() {
		r.SP()
		response = r.Atom()
	}
	if err := r.End(); err != nil {
		return "", err
	}
	switch {
	case s.clear:
		return "", errPrivacy
	case mechanism != "PLAIN":
		return "", no(imap.ResponseCodeCannot, "The mechanism is not supported")
	case response == "":
		s.conn.line("+ ")
		var err error
		if response, err = r.Line(); err != nil {
			return "", err
		}
	}
	switch response {
	case "*":
		return "", bad("Authentication was cancelled")
	case "=":
		response = ""
	}
	raw, err := base64.StdEncoding.DecodeString(response)
	if err != nil {
		return "", bad("Expected base64")
	}
	parts := strings.Split(string(raw), "\x00")
	if len(parts) != 3 {
		return "", errSASL
	}
	if parts[0] != "" && parts[0] != parts[1] {
		return "", no(imap.ResponseCodeAuthorizationFailed, "Proxy authorization is not supported")
	}
	return s.authorize(parts[1], parts[2])
}

// authorize logs in.
func (s *session) authorize(name, password string) (string, error) {
	var who Account
	err := s.srv.clients.Authorize(s, name, func() (_ serving.Login, err error) {
		who, err = s.srv.opt.Login(s.ctx, s.conn.RemoteAddr(), name, password)
		return serving.Login{User: who.User, Device: who.Device.Name}, err
	})
	if err != nil {
		return "", err
	}
	s.user, s.store = who.User, scope{who.Store, who.Device}
	s.in.SetLimits(limitsLoggedIn)
	if text := cut(oneLine(s.srv.opt.Alert(s.user, who.Device.Name)), maxAlert); text != "" {
		s.conn.line("* OK [ALERT] %s", text) // RFC 9051 section 7.1
	}
	return "[CAPABILITY " + s.capabilities() + "] Logged in", nil
}

// oneLine makes text (RFC 9051 section 9, text) of what may come from anywhere.
// What is not ASCII is for clients that enable more, which none has at login.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// cut shortens ASCII text to at most n characters.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n-3] + "..."
	}
	return s
}
