package discover

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// Limits of a conversation with a server that is probed.
const (
	maxLine  = 1024     // bytes of a line
	maxLines = 100      // lines of an answer
	maxTalk  = 32 << 10 // bytes in all
)

// talk is a conversation in lines with a server that is probed. Nothing secret
// is said in it.
type talk struct {
	conn net.Conn
	in   *bufio.Reader
}

// open connects to a server and runs say with the conversation. It ends with ctx,
// and after talkFor.
func (n network) open(ctx context.Context, c candidate, say func(*talk) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.limits.talk)
	defer cancel()
	return n.with(ctx, c.host, c.port, false, func(conn net.Conn) error {
		t := new(talk)
		t.over(conn)
		if c.tls == Implicit {
			if err := t.encrypt(n.tlsConfig(c.host)); err != nil {
				return err
			}
		}
		return say(t)
	})
}

func (t *talk) over(conn net.Conn) {
	t.conn, t.in = conn, bufio.NewReaderSize(io.LimitReader(conn, maxTalk), maxLine)
}

// encrypt begins TLS. What the server sent before it is not taken for said
// within it (RFC 3207 section 4.2, and the same with POP3).
func (t *talk) encrypt(c *tls.Config) error {
	if t.in.Buffered() > 0 {
		return errors.New("the server sends something between STARTTLS and TLS: not used")
	}
	secured := tls.Client(t.conn, c)
	if err := secured.Handshake(); err != nil {
		return err
	}
	t.over(secured)
	return nil
}

func (t *talk) line() (string, error) {
	raw, err := t.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errors.New("the server sends a line that is too long")
	case errors.Is(err, io.EOF):
		return "", errors.New("the server ended the connection")
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

func (t *talk) send(command string) error {
	_, err := io.WriteString(t.conn, command+"\r\n")
	return err
}

// goodbye ends the conversation as the protocols want it; no one waits for the answer.
func (t *talk) goodbye() {
	_ = t.conn.SetDeadline(time.Now().Add(time.Second)) // a connection that fails here has said all it had to
	_ = t.send("QUIT")
}

// unexpected says that a server is of another kind, or refuses.
func unexpected(line string) error {
	return fmt.Errorf("the server says %s", fault.Quote(printable(line, 80)))
}

// pop3 asks a POP3 server for what it can do (RFC 1939, RFC 2449, RFC 2595) and
// returns how to log in.
func (t *talk) pop3(c *tls.Config, startTLS bool) ([]Auth, error) {
	if err := t.ok(); err != nil {
		return nil, err
	}
	if startTLS {
		if err := t.send("STLS"); err != nil {
			return nil, err
		}
		if err := t.ok(); err != nil {
			return nil, err
		}
		if err := t.encrypt(c); err != nil {
			return nil, err
		}
	}
	if err := t.send("CAPA"); err != nil {
		return nil, err
	}
	first, err := t.line()
	if err != nil {
		return nil, err
	}
	auth := []Auth{Password}
	if strings.HasPrefix(first, "+OK") { // older servers have no CAPA
		if auth, err = t.popLogins(); err != nil {
			return nil, err
		}
	}
	t.goodbye()
	return auth, nil
}

// ok reads an answer that has to be "+OK".
func (t *talk) ok() error {
	line, err := t.line()
	if err == nil && !strings.HasPrefix(line, "+OK") {
		return unexpected(line)
	}
	return err
}

func (t *talk) popLogins() ([]Auth, error) {
	var mechanisms []string
	sasl, user := false, false
	for range maxLines {
		line, err := t.line()
		if err != nil {
			return nil, err
		}
		words := strings.Fields(strings.ToUpper(line))
		switch {
		case line == ".":
			if user || !sasl {
				mechanisms = append(mechanisms, "PLAIN")
			}
			return saslLogins(mechanisms), nil
		case len(words) == 0:
		case words[0] == "USER":
			user = true
		case words[0] == "SASL":
			sasl, mechanisms = true, append(mechanisms, words[1:]...)
		}
	}
	return nil, errors.New("the server's list of what it can do has no end")
}

// saslLogins translates the names of SASL mechanisms.
func saslLogins(mechanisms []string) []Auth {
	var auth []Auth
	for _, m := range mechanisms {
		a := Auth("")
		switch {
		case m == "PLAIN", m == "LOGIN":
			a = Password
		case m == "CRAM-MD5", strings.HasPrefix(m, "SCRAM-"):
			a = Encrypted
		case m == "XOAUTH2", m == "OAUTHBEARER":
			a = OAuth2
		}
		if a != "" && !slices.Contains(auth, a) {
			auth = append(auth, a)
		}
	}
	return auth
}

// smtp asks a submission server for what it can do (RFC 5321, RFC 3207, RFC 4954).
func (t *talk) smtp(c *tls.Config, startTLS bool) ([]Auth, error) {
	if _, err := t.reply("220"); err != nil {
		return nil, err
	}
	can, err := t.hello()
	if err != nil {
		return nil, err
	}
	if startTLS {
		if err := t.send("STARTTLS"); err != nil {
			return nil, err
		}
		if _, err := t.reply("220"); err != nil {
			return nil, err
		}
		if err := t.encrypt(c); err != nil {
			return nil, err
		}
		if can, err = t.hello(); err != nil {
			return nil, err
		}
	}
	t.goodbye()
	for _, line := range can {
		if words := strings.Fields(strings.ToUpper(line)); len(words) > 1 && words[0] == "AUTH" {
			if auth := saslLogins(words[1:]); auth != nil {
				return auth, nil
			}
		}
	}
	return nil, errors.New("the server offers no login")
}

// hello says EHLO; the name is that of a client without one (RFC 5321 section 4.1.3).
func (t *talk) hello() ([]string, error) {
	if err := t.send("EHLO [127.0.0.1]"); err != nil {
		return nil, err
	}
	return t.reply("250")
}

// reply reads an SMTP reply of one code, and returns its lines without it.
func (t *talk) reply(code string) ([]string, error) {
	var lines []string
	for range maxLines {
		line, err := t.line()
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(line, code) {
			return nil, unexpected(line)
		}
		rest := line[len(code):]
		if !strings.HasPrefix(rest, "-") {
			return append(lines, strings.TrimPrefix(rest, " ")), nil
		}
		lines = append(lines, rest[1:])
	}
	return nil, errors.New("the server's reply has no end")
}
