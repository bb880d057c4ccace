package pop3

import (
	"context"
	"errors"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Dial connects as cfg says, secures the connection, takes the greeting and
// asks for the capabilities. On success the caller must Quit or Close.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	conn, err := cfg.server().Dial(ctx, cfg.Timeouts.Dial)
	if err != nil {
		return nil, err
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
	c.wire.Within(c.cfg.Timeouts.Greeting)
	raw, _, err := c.wire.ReadLine()
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
	for n := 0; c.wire.LineBuffered() && n < maxStray; n++ {
		raw, _, err := c.wire.ReadLine()
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
	if n := c.wire.R.Buffered(); n > 0 {
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
	what, err := c.cfg.server().Handshake(c.wire, c.cfg.Timeouts.TLS)
	if err != nil {
		return c.fail(err)
	}
	c.traceNote("tls " + what)
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

// greetingError tells classify in which step err happened.
type greetingError struct{ error }

func (e *greetingError) Unwrap() error { return e.error }

// notPOP3 is the error for a first line of some other protocol.
func notPOP3(line string) error {
	const ports = "POP3 is at port 995 with tls = \"implicit\", at port 110 with tls = \"starttls\""
	if strings.HasPrefix(line, "* ") {
		return fault.New(fault.Config, "this is an IMAP server, not a POP3 server", ports)
	}
	return fault.Wrap(errors.New(fault.Quote(line)), fault.Config, "this is not a POP3 server, it says", ports)
}
