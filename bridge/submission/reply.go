package submission

import (
	"context"
	"errors"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// reply is what a client is answered: a code (RFC 5321 section 4.2), an enhanced one
// (RFC 3463), and one plain sentence, because mail programs show it as it is. A zero
// reply is none.
type reply struct {
	code     int
	enhanced string
	text     string
	last     bool // the connection ends with it
}

// Error returns the text.
func (r reply) Error() string { return r.text }

var (
	ok       = reply{code: 250, enhanced: "2.0.0", text: "OK"}
	internal = reply{code: 451, enhanced: "4.3.0", text: "Internal error, see the log of the server"}
)

// maxReply bounds the text of a reply (RFC 5321 section 4.5.3.1.5: 512 octets in all).
const maxReply = 480

// oneLine makes s one line of printable ASCII.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	if len(s) > maxReply {
		s = s[:maxReply-3] + "..."
	}
	return s
}

// replyTo translates an error from outside of this package. Trouble of ours, or of the
// provider, is never 535 and never for good.
func (s *session) replyTo(err error) reply {
	if r, ready := errors.AsType[reply](err); ready {
		return r
	}
	if errors.Is(err, context.Canceled) {
		return reply{code: 451, enhanced: "4.3.2", text: "The server is shutting down, send it again later"}
	}
	r := internal
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind != fault.Internal {
		if r.text = f.Text; fault.Hint(err) != "" {
			r.text += "; " + fault.Hint(err)
		}
		r.text = capital(r.text)
	}
	switch fault.KindOf(err) {
	case fault.Denied:
		r.code, r.enhanced = 550, "5.7.1"
		return r
	case fault.Full:
		r.code, r.enhanced = 452, "4.3.1"
	case fault.Temporary, fault.Auth: // refused logins are told of by those who look at them
		return r
	case fault.Internal, fault.Config, fault.Protocol, fault.Corrupt, fault.NotFound, fault.Conflict:
	}
	s.log.Error().Err(err).Str("user", s.who.User).Str("command", s.verb).Msg("SMTP command failed")
	return r
}

func capital(s string) string {
	if s == "" {
		return "Failed"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
