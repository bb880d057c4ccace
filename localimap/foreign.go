package localimap

import (
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// foreign logs clients that do not speak IMAP, or not with the protection that
// is configured; at most one line in sumEvery.
type foreign struct {
	log zerolog.Logger

	mu sync.Mutex
	at time.Time // of the last line
	n  int       // clients not told of since
}

func (f *foreign) add(c *conn, what, hint string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; time.Since(f.at) < sumEvery {
		return
	}
	f.log.Warn().Stringer("remote", c.RemoteAddr()).Int("count", f.n).Str("hint", hint).Msg(what)
	f.at, f.n = time.Now(), 0
}

// tlsHandshake is the first octet of a ClientHello (RFC 8446 section 5.1).
const tlsHandshake = 22

// noteUnexpectedTLS notes a client that begins TLS where it is not expected.
func (s *session) noteUnexpectedTLS() (bye string) {
	if s.user != "" || s.conn.heard.Load() || s.conn.stream != s.conn.Conn || s.in.First() != tlsHandshake {
		return ""
	}
	s.srv.foreign.add(s.conn, "a client began TLS at once, where the IMAP server does not expect it",
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
	s.srv.foreign.add(s.conn, "a client that does not speak IMAP was disconnected", "it is a web browser or another program that has the wrong port")
	s.conn.line("%s BAD [CLIENTBUG] %s", s.tag, err)
	return "This is an IMAP server"
}
