package submission

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/serving"
)

var (
	errCancelled = reply{code: 501, enhanced: "5.7.0", text: "Authentication was cancelled"}
	errBase64    = reply{code: 501, enhanced: "5.5.2", text: "Expected base64"}
)

// auth answers AUTH (RFC 4954) with the mechanism PLAIN (RFC 4616) or LOGIN, which has
// no RFC: mail programs send the name and the password after these very prompts.
func (s *session) auth(arg string) reply {
	mechanism, initial, _ := strings.Cut(arg, " ")
	var name, password string
	var err error
	switch mechanism = strings.ToUpper(mechanism); {
	case s.clear: // before the client sends its password
		return reply{code: 538, enhanced: "5.7.11", text: "TLS is required to log in, send STARTTLS first"}
	case s.entered:
		return reply{code: 503, enhanced: "5.5.1", text: "Already logged in"}
	case mechanism == "PLAIN":
		name, password, err = s.plain(initial)
	case mechanism == "LOGIN":
		if name, err = s.ask("Username:", initial); err == nil {
			password, err = s.ask("Password:", "")
		}
	default:
		return reply{code: 504, enhanced: "5.5.4", text: "The mechanism is not supported, use PLAIN or LOGIN"}
	}
	if r, refused := errors.AsType[reply](err); refused {
		return r
	}
	if err != nil {
		r := farewellTo(err)
		r.last = true
		return r
	}
	return s.authorize(name, password)
}

func (s *session) plain(initial string) (name, password string, err error) {
	raw, err := s.ask("", initial)
	parts := strings.Split(raw, "\x00")
	switch {
	case err != nil:
		return "", "", err
	case len(parts) != 3:
		return "", "", reply{code: 501, enhanced: "5.5.2", text: "Expected name and password, each behind a NUL"}
	case parts[0] != "" && parts[0] != parts[1]:
		return "", "", reply{code: 501, enhanced: "5.5.4", text: "No one can log in for another user"}
	}
	return parts[1], parts[2], nil
}

// ask returns what the client answers to a prompt, or has answered already.
func (s *session) ask(prompt, initial string) (string, error) {
	switch initial = strings.Trim(initial, " \t"); initial {
	case "=": // RFC 4954 section 4: an empty one
		return "", nil
	case "":
		s.conn.out = append(append(s.conn.out, "334 "...), base64.StdEncoding.EncodeToString([]byte(prompt))...)
		s.conn.out = append(s.conn.out, "\r\n"...)
		line, err := s.conn.line()
		if errors.Is(err, errTooLong) {
			err = reply{code: 500, enhanced: "5.5.6", text: "The response is too long"}
		}
		if err != nil {
			return "", err
		}
		if initial = strings.Trim(line, " \t"); initial == "*" {
			return "", errCancelled
		}
	}
	raw, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		return "", errBase64
	}
	return string(raw), nil
}

// authorize logs in.
func (s *session) authorize(name, password string) reply {
	var who Account
	err := s.srv.clients.Authorize(s, name, func() (_ serving.Login, err error) {
		who, err = s.srv.opt.Login(s.ctx, s.conn.RemoteAddr(), name, password)
		return serving.Login{User: who.User, Device: who.Device}, err
	})
	if refused, ok := errors.AsType[*serving.Refused](err); ok {
		return reply{code: 454, enhanced: "4.7.0", text: refused.Text}
	}
	if err != nil {
		return s.notLoggedIn(err)
	}
	s.who, s.entered = who, true
	return reply{code: 235, enhanced: "2.7.0", text: "Logged in"}
}

// notLoggedIn answers a login that did not succeed. A mail program asks for another
// password after 535, so that says that it was wrong, and nothing else.
func (s *session) notLoggedIn(err error) reply {
	r := s.replyTo(err)
	switch {
	case fault.Is(err, fault.Auth):
		r.code, r.enhanced = 535, "5.7.8"
	case fault.Is(err, fault.Denied):
	default:
		r.code, r.enhanced = 454, "4.7.0"
	}
	return r
}
