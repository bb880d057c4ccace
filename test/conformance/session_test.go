package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take for a line.
const patience = 30 * time.Second

// What read returns instead of a response.
const (
	ended   = "EOF"
	failure = "(connection: "
)

// session is one connection of a script.
type session struct {
	conn     net.Conn
	r        *bufio.Reader
	commands int
	tag      string // of the last command
	ended    bool
}

func newSession(conn net.Conn) *session {
	return &session{conn: conn, r: bufio.NewReaderSize(conn, 1<<16), tag: "none"}
}

func (p *session) write(text string) error {
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience)) // an error shows at the write
	_, err := io.WriteString(p.conn, text)
	return err
}

var (
	endsInLiteral = regexp.MustCompile(`\{(\d+)\}\r\n$`)
	maxResponse   = 64 << 20
)

// read returns the next response with its literals, without the last CRLF.
func (p *session) read() string {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience)) // an error shows at the read
	var text strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			return p.broken(text.String(), err)
		}
		m := endsInLiteral.FindStringSubmatch(line)
		if m == nil {
			return strings.TrimSuffix(text.String(), "\r\n")
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n > maxResponse {
			return failure + "literal of " + m[1] + " bytes)"
		}
		if _, err := io.CopyN(&text, p.r, int64(n)); err != nil {
			return p.broken(text.String(), err)
		}
	}
}

func (p *session) broken(before string, err error) string {
	p.ended = true
	if before == "" && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		return ended
	}
	return fmt.Sprintf("%s%v) %s", failure, err, before)
}

// ends reports whether a response is the last of a command, or of all.
func (p *session) ends(response string) bool {
	return isTagged(p.tag, response) || response == ended || strings.HasPrefix(response, failure)
}

// do sends a command of the runner's own.
func (p *session) do(text string) error {
	if err := p.write("run " + text + "\r\n"); err != nil {
		return err
	}
	for {
		switch line := p.read(); {
		case strings.HasPrefix(line, "run OK"):
			return nil
		case !strings.HasPrefix(line, "* "):
			return fmt.Errorf("%s: %q", text, line)
		}
	}
}

// logout ends the session: nothing may have been left unread.
func (p *session) logout() error {
	defer func() { _ = p.conn.Close() }() // the server closes it
	if p.ended {
		return nil
	}
	if err := p.write("end LOGOUT\r\n"); err != nil {
		return err
	}
	for _, want := range []string{"* BYE", "end OK", ended} {
		if got := p.read(); !strings.HasPrefix(got, want) {
			return fmt.Errorf("at the end of the session came %q", got)
		}
	}
	return nil
}

// startTLS does the handshake. What the server has sent before in plain text
// must be read by now.
func (p *session) startTLS(ctx context.Context, config *tls.Config) error {
	if n := p.r.Buffered(); n > 0 {
		early, _ := p.r.Peek(n) // n bytes are there
		return fmt.Errorf("before the handshake came %q", early)
	}
	conn := tls.Client(p.conn, config)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	p.conn, p.r = conn, bufio.NewReaderSize(conn, 1<<16)
	return nil
}
