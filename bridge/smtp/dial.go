package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// Dial connects as cfg says, takes the greeting, asks for the extensions, and
// secures the connection. On success the caller must Quit or Close.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	conn, err := cfg.server().Dial(ctx, cfg.Timeouts.Dial)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg, conn)
	if err := c.run(ctx, c.begin); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) begin() error {
	if c.cfg.Security == Implicit {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	if err := c.greeting(); err != nil {
		return err
	}
	if err := c.hello(); err != nil {
		return err
	}
	if c.cfg.Security == StartTLS {
		return c.startTLS()
	}
	return nil
}

// greeting is RFC 5321 section 3.1.
func (c *Client) greeting() error {
	r, _, err := c.receive(c.cfg.Timeouts.Greeting)
	switch nonsense, ok := err.(*nonsenseError); {
	case ok:
		return c.fail(notSMTP(nonsense.line))
	case err != nil:
		return c.fail(&greetingError{err})
	case r.Negative():
		return c.fail(&ReplyError{r, "greeting"})
	case r.Code != 220:
		return c.unexpected("greeting", r)
	}
	return nil
}

// hello asks for the extensions (RFC 5321 section 4.1.1.1).
func (c *Client) hello() error {
	names := []string{c.cfg.Hello}
	if c.cfg.Hello == "" {
		// Some servers refuse one, some the other.
		names = []string{literal(c.wire.LocalAddr()), "localhost"}
	}
	for _, name := range names {
		_, lines, err := c.command("EHLO " + name)
		if err == nil {
			c.ext = newExtensions(lines)
			return nil
		}
		refused, ok := errors.AsType[*ReplyError](err)
		if !ok || !refused.Permanent() || c.dead != nil {
			return err
		}
		if refused.Code == 500 || refused.Code == 502 { // no such command
			break
		}
	}
	c.ext = Extensions{}
	_, _, err := c.command("HELO " + names[0])
	return err
}

// literal writes an address as RFC 5321 section 4.1.3 has it.
func literal(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return "[127.0.0.1]"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.To4().String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

// startTLS is RFC 3207 section 4. There is no going on without it: whoever can cut
// STARTTLS out of the answer to EHLO could otherwise read the password.
func (c *Client) startTLS() error {
	if !c.ext.startTLS {
		return c.fail(fault.New(fault.Config, "the server does not offer STARTTLS", hintSTARTTLS))
	}
	r, _, err := c.command("STARTTLS")
	switch refused, ok := errors.AsType[*ReplyError](err); {
	case ok && refused.Permanent():
		return c.fail(fault.Wrap(refused, fault.Config, "the server refused STARTTLS", hintSTARTTLS))
	case err != nil:
		return c.fail(err)
	case !r.Positive():
		return c.unexpected("STARTTLS", r)
	}
	// Whatever came along with the reply was not protected and would be taken for
	// one given under TLS.
	if n := c.wire.R.Buffered(); n > 0 {
		return c.fail(fault.New(fault.Protocol, "the server sent data between its answer to STARTTLS and the TLS handshake", hintTamper))
	}
	if err := c.handshake(); err != nil {
		return err
	}
	// RFC 3207 section 4.2: discard what was learned before, and ask again.
	c.ext = Extensions{}
	return c.hello()
}

func (c *Client) handshake() error {
	what, err := c.cfg.server().Handshake(c.wire, c.cfg.Timeouts.TLS)
	if err != nil {
		return c.fail(err)
	}
	c.cfg.Trace.Trace().Str("what", "tls "+what).Msg("smtp event")
	return nil
}

// greetingError tells classify in which step err happened.
type greetingError struct{ error }

func (e *greetingError) Unwrap() error { return e.error }

// notSMTP is the error for a first line of some other protocol.
func notSMTP(line string) error {
	ports := "mail is submitted at port 465 with tls = \"implicit\", at port 587 with tls = \"starttls\""
	for start, name := range map[string]string{"* ": "an IMAP", "+OK": "a POP3"} {
		if strings.HasPrefix(line, start) {
			return fault.New(fault.Config, fmt.Sprintf("this is %s server, not an SMTP server", name), ports)
		}
	}
	return fault.Wrap(errors.New(fault.Quote(line)), fault.Config, "this is not an SMTP server, it says", ports)
}
