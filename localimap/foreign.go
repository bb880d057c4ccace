package localimap

import (
	"crypto/tls"
	"errors"
	"strings"

	"github.com/popbridge/popbridge/internal/serving"
)

// noteForeign logs a client that does not speak IMAP, or not with the protection that
// is configured.
func (s *session) noteForeign(what, hint string) {
	s.srv.foreign.Log(s.log.Warn().Stringer("remote", s.conn.RemoteAddr()).Str("hint", hint), what)
}

// noteUnexpectedTLS notes a client that begins TLS where it is not expected.
func (s *session) noteUnexpectedTLS() (bye string) {
	if s.user != "" || s.conn.Heard.Load() || s.in.First() != serving.TLSHandshake {
		return ""
	}
	s.noteForeign("a client began TLS at once, where the IMAP server does not expect it",
		"set the client to STARTTLS, or to no encryption where [imap] tls is \"off\"; or set [imap] tls = \"implicit\"")
	return "TLS was not expected yet"
}

// withoutArguments are commands by which it shows that the first line of a
// connection is none of IMAP.
var withoutArguments = strings.Fields("CAPABILITY NOOP LOGOUT STARTTLS")

// rejectForeign answers a client that has not logged in and speaks something else than
// IMAP: a web page makes a browser send what it likes, once it has sent the lines of
// HTTP.
func (s *session) rejectForeign(err error) (bye string) {
	s.noteForeign("a client that does not speak IMAP was disconnected", "it is a web browser or another program that has the wrong port")
	s.conn.line("%s BAD [CLIENTBUG] %s", s.tag, err)
	return "This is an IMAP server"
}

// secure puts TLS over the network.
func (s *session) secure() error {
	err := s.conn.Secure(s.srv.opt.TLS, s.conn.flush)
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		s.noteForeign("a client sent plain text where the IMAP server expects TLS",
			"set the client to SSL/TLS, which [lan] and tls = \"implicit\" below [imap] want")
	}
	return err
}
