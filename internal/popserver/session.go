package popserver

import (
	"bufio"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"time"
)

// idle is the autologout timer (RFC 1939 section 3: at least ten minutes), and
// how long a client may take to read.
const idle = 10 * time.Minute

// session is one connection.
type session struct {
	server *Server
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	secure bool
	user   string // of USER

	loggedIn bool
	drop     []*message // by number - 1
	deleted  map[*message]bool
	ended    bool
}

func newSession(server *Server, conn net.Conn) *session {
	_, secure := conn.(*tls.Conn)
	s := &session{server: server, secure: secure, deleted: make(map[*message]bool)}
	s.use(conn)
	return s
}

func (s *session) use(conn net.Conn) {
	s.conn = conn
	s.r = bufio.NewReaderSize(deadlines{conn}, 16<<10) // AUTH lines may be long (RFC 5034 section 4)
	s.w = bufio.NewWriterSize(deadlines{conn}, 64<<10)
}

// deadlines is a connection with a deadline before each read and write.
type deadlines struct{ net.Conn }

func (d deadlines) Read(p []byte) (int, error) {
	if err := d.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return d.Conn.Read(p)
}

func (d deadlines) Write(p []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return d.Conn.Write(p)
}

func (s *session) run() {
	defer s.logout()
	s.ok("popbridge POP3 server ready")
	for !s.ended {
		line, err := s.readLine()
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		s.command(strings.ToUpper(verb), arg)
	}
	_ = s.w.Flush()
}

// logout lets the next session in.
func (s *session) logout() {
	if s.loggedIn {
		s.loggedIn = false
		s.server.unlock()
	}
}

// readLine reads on while commands are buffered and sends the answers before
// it waits: that is PIPELINING.
func (s *session) readLine() (string, error) {
	if s.r.Buffered() == 0 {
		if err := s.w.Flush(); err != nil {
			return "", err
		}
	}
	line, err := s.r.ReadSlice('\n')
	if err != nil {
		return "", err // a line longer than the buffer, too
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func (s *session) ok(format string, args ...any)  { fmt.Fprintf(s.w, "+OK "+format+"\r\n", args...) }
func (s *session) err(format string, args ...any) { fmt.Fprintf(s.w, "-ERR "+format+"\r\n", args...) }

// capa differs before and after the login (RFC 2449 section 5).
func (s *session) capa() {
	s.ok("capabilities follow")
	lines := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "IMPLEMENTATION popbridge"}
	if !s.loggedIn {
		lines = append(lines, "USER", "SASL PLAIN")
		if s.server.opts.TLS != nil && !s.secure {
			lines = append(lines, "STLS")
		}
	}
	fmt.Fprintf(s.w, "%s\r\n.\r\n", strings.Join(lines, "\r\n"))
}

func (s *session) stls() {
	if s.server.opts.TLS == nil || s.secure || s.loggedIn {
		s.err("no STLS here")
		return
	}
	s.ok("begin TLS")
	// Commands sent along with STLS were not protected (RFC 2595 section 4).
	if s.w.Flush() != nil || s.r.Buffered() > 0 {
		s.ended = true
		return
	}
	conn := tls.Server(deadlines{s.conn}, s.server.opts.TLS)
	if err := conn.Handshake(); err != nil {
		s.server.opts.Log.Debug().Err(err).Msg("tls handshake failed")
		s.ended = true
		return
	}
	s.use(conn)
	s.secure = true
	s.user = ""
}

// authPlain is AUTH PLAIN with or without initial response (RFC 5034).
func (s *session) authPlain(arg string) {
	mechanism, response, initial := strings.Cut(arg, " ")
	if !strings.EqualFold(mechanism, "PLAIN") {
		s.err("unsupported authentication mechanism")
		return
	}
	if !initial {
		fmt.Fprint(s.w, "+ \r\n")
		line, err := s.readLine()
		if err != nil {
			s.ended = true
			return
		}
		response = line
	}
	plain, err := base64.StdEncoding.DecodeString(response)
	parts := strings.Split(string(plain), "\x00")
	if err != nil || len(parts) != 3 {
		s.err("authentication cancelled")
		return
	}
	s.login(parts[1], parts[2])
}

func (s *session) login(user, password string) {
	opts := s.server.opts
	right := subtle.ConstantTimeCompare([]byte(user), []byte(opts.User)) & subtle.ConstantTimeCompare([]byte(password), []byte(opts.Password))
	if right != 1 {
		s.err("[AUTH] wrong user name or password")
		opts.Log.Debug().Str("user", user).Msg("login refused")
		return
	}
	drop, ok := s.server.lock()
	if !ok {
		s.err("[IN-USE] the maildrop is locked by another session")
		return
	}
	s.loggedIn, s.drop = true, drop
	s.ok("%d messages", len(drop))
	opts.Log.Debug().Str("user", user).Int("messages", len(drop)).Msg("logged in")
}
