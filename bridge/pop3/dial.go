package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// Dial connects as cfg says, secures the connection, takes the greeting and
// asks for the capabilities. On success the caller must Quit or Close.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	dialCtx, cancel := context.WithTimeout(ctx, cfg.Timeouts.Dial)
	defer cancel()
	conn, err := cfg.Dialer(dialCtx, "tcp", cfg.addr())
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, classifyDial(cfg, err)
	}
	c := newClient(cfg, conn)
	if err := c.run(ctx, c.open); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) open() error {
	if c.cfg.Security == Implicit {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	if err := c.greeting(); err != nil {
		return err
	}
	if err := c.capa(); err != nil {
		return err
	}
	if c.cfg.Security == StartTLS {
		if err := c.startTLS(); err != nil {
			return err
		}
	}
	return c.utf8()
}

// greeting reads the first line, and what else came with it: before the first
// command the server has nothing else to say.
func (c *Client) greeting() error {
	c.wire.within(c.cfg.Timeouts.Greeting)
	raw, _, err := c.wire.readLine()
	if err != nil {
		return c.fail(&greetingError{err})
	}
	line := string(raw)
	c.traceReceived(c.foreign(line))
	if text, ok := cutFold(line, "-ERR"); ok {
		return c.fail(newReplyError("greeting", text))
	}
	if _, ok := cutFold(line, "+OK"); !ok {
		return c.fail(notPOP3(line))
	}
	c.timestamp = timestamp(line)
	for n := 0; c.wire.lineBuffered() && n < maxStray; n++ {
		raw, _, err := c.wire.readLine()
		if err != nil {
			return c.fail(&greetingError{err})
		}
		c.warn("greeting goes on: %s", fault.Quote(string(raw)))
		if c.timestamp == "" {
			c.timestamp = timestamp(string(raw))
		}
	}
	return nil
}

// timestamp finds the msg-id in a greeting (RFC 1939 section 7). It is strict
// about what one looks like: with timestamps of its choice an attacker could
// find the secret out of MD5 collisions (RFC 6151; CVE-2007-1558).
func timestamp(line string) string {
	start := strings.IndexByte(line, '<')
	if start < 0 {
		return ""
	}
	end := strings.IndexByte(line[start:], '>')
	if end < 0 {
		return ""
	}
	id := line[start : start+end+1]
	local, host, ok := strings.Cut(id[1:len(id)-1], "@")
	if !ok || local == "" || host == "" || strings.ContainsAny(host, "@<") ||
		strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return id
}

// startTLS is RFC 2595 section 4. There is no going on without it: whoever can
// cut STLS out of the answer to CAPA could otherwise read the password.
func (c *Client) startTLS() error {
	if c.caps.Known() && !c.caps.Has("STLS") {
		return c.fail(fault.New(fault.Config, "the server does not offer STLS", hintSTLS))
	}
	if _, err := c.command("STLS"); err != nil {
		if reply, ok := errors.AsType[*ReplyError](err); ok {
			err = c.fail(fault.Wrap(reply, fault.Config, "the server refused STLS", hintSTLS))
		}
		return err
	}
	// Whatever came along with the +OK was not protected and would be taken for
	// an answer given under TLS.
	if n := c.wire.r.Buffered(); n > 0 {
		return c.fail(fault.New(fault.Protocol, "the server sent data between its answer to STLS and the TLS handshake",
			"somebody may be tampering with the connection; try another network"))
	}
	if err := c.handshake(); err != nil {
		return err
	}
	// RFC 2595 section 4: discard what was learned before, and ask again.
	c.caps = Capabilities{}
	return c.capa()
}

func (c *Client) handshake() error {
	conn := tls.Client(c.raw, c.cfg.tlsConfig())
	if err := c.raw.SetDeadline(time.Now().Add(c.cfg.Timeouts.TLS)); err != nil {
		return c.fail(err)
	}
	if err := conn.Handshake(); err != nil {
		return c.fail(&handshakeError{err})
	}
	if err := c.raw.SetDeadline(time.Time{}); err != nil {
		return c.fail(err)
	}
	c.wire.secure(conn)
	c.secured = conn
	state := conn.ConnectionState()
	c.traceNote("tls " + tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite))
	return nil
}

// utf8 switches to RFC 6856 where it is announced: without it the server would
// rewrite the headers of internationalised messages, or refuse them.
func (c *Client) utf8() error {
	if !c.caps.Has("UTF8") {
		return nil
	}
	_, err := c.command("UTF8")
	if isReply(err) {
		c.warn("%v", err)
		return nil
	}
	return err
}

// greetingError and handshakeError tell classify in which step err happened.
type (
	greetingError  struct{ error }
	handshakeError struct{ error }
)

func (e *greetingError) Unwrap() error  { return e.error }
func (e *handshakeError) Unwrap() error { return e.error }

// notPOP3 is the error for a first line of some other protocol.
func notPOP3(line string) error {
	const ports = "POP3 is at port 995 with tls = \"implicit\", at port 110 with tls = \"starttls\""
	if strings.HasPrefix(line, "* ") {
		return fault.New(fault.Config, "this is an IMAP server, not a POP3 server", ports)
	}
	return fault.Wrap(errors.New(fault.Quote(line)), fault.Config, "this is not a POP3 server, it says", ports)
}
