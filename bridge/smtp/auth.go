package smtp

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
)

// Login logs in with the strongest mechanism the server offers (RFC 4954). When the
// server does not do a mechanism after all, the next is tried; when it refuses the
// credentials, none.
func (c *Client) Login(ctx context.Context, cred sasl.Credentials) error {
	if err := cred.Check(); err != nil {
		return err
	}
	return c.run(ctx, func() error {
		if !c.wire.Secured() && c.cfg.Security != Plain { // Dial sees to it; this is the last door
			return fault.New(fault.Internal, "refusing to send a password without TLS", "")
		}
		c.secrets.Add(cred.Secret)
		err := c.notOffered(cred)
		for _, m := range sasl.Mechanisms(cred, c.cfg.Host, c.cfg.Port) {
			if !c.ext.mechanism(m.Name) {
				continue
			}
			err = c.exchange(m)
			if _, ok := errors.AsType[sasl.NotDone](err); !ok {
				return err
			}
		}
		return err
	})
}

// notOffered is the error where no mechanism fits.
func (c *Client) notOffered(cred sasl.Credentials) error {
	offered := "the server offers no login"
	if len(c.ext.auth) > 0 {
		offered = "the server offers other logins only: " + fault.Quote(strings.Join(c.ext.auth, " "))
	}
	switch {
	case cred.Token:
		return fault.New(fault.Config, offered, `set auth = "password", if need be with an app password`)
	case c.ext.startTLS && !c.wire.Secured():
		return fault.New(fault.Config, offered, `set tls = "starttls": many servers take passwords over TLS only`)
	}
	return fault.New(fault.Config, offered, "check host and port: mail is submitted at port 465 or 587, not 25")
}

// exchange is the AUTH command (RFC 4954 section 4), without initial response; see
// sasl.Mechanism.
func (c *Client) exchange(m *sasl.Mechanism) error {
	command := "AUTH " + m.Name
	if err := c.send(command, command); err != nil {
		return err
	}
	for step := range sasl.MaxSteps {
		r, lines, err := c.reply(command)
		switch {
		case err != nil:
			return c.refusal(m, err, step)
		case r.Code == 235:
			if err := m.Verify(); err != nil {
				return c.fail(err)
			}
			return nil
		case r.Code != 334:
			return c.unexpected(command, r)
		}
		text := strings.TrimSpace(lines[0])
		challenge, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			challenge = []byte(text) // plain text is seen; most mechanisms don't read it
		}
		response, err := m.Step(challenge)
		if err != nil {
			return c.cancel(command, err)
		}
		if err := c.sendSecret(base64.StdEncoding.EncodeToString(response)); err != nil {
			return err
		}
	}
	return c.fail(fault.New(fault.Protocol, "the server asks without end in "+command, hintBetween))
}

// refusal classifies a negative reply within an exchange. Before anything but the
// name of the mechanism was sent it can't be about the credentials; later it is,
// unless it says otherwise.
func (c *Client) refusal(m *sasl.Mechanism, err error, step int) error {
	refused, ok := errors.AsType[*ReplyError](err)
	if !ok || c.dead != nil {
		return err
	}
	meaning, known := refused.meaning()
	switch {
	case m.Detail != "" && refused.Permanent() && (!known || meaning.kind == fault.Auth):
		return fault.Wrap(refused, fault.Auth, "the server refused the token: "+fault.Quote(c.secrets.Mask(m.Detail)), hintToken)
	case refused.aboutMechanism(step):
		return sasl.NotDone{Err: fault.Wrap(refused, fault.Config, "the server does not do "+m.Name, hintAuth)}
	case known, refused.Temporary():
		return err
	}
	return fault.Wrap(refused, fault.Auth, "user name or password refused", hintAuth)
}

// cancel gives up an exchange with "*" (RFC 4954 section 4), which servers refuse
// with 501 or, as Microsoft's, with 535.
func (c *Client) cancel(command string, cause error) error {
	if errors.Is(cause, sasl.ErrServerUnproven) {
		return c.fail(cause)
	}
	if err := c.send("*", "*"); err != nil {
		return err
	}
	_, _, err := c.reply(command)
	switch {
	case err == nil:
		return c.fail(fault.New(fault.Protocol, "the server goes on with a login that was given up", hintBetween))
	case !isReply(err) || c.dead != nil:
		return err
	}
	return sasl.NotDone{Err: fault.Wrap(cause, fault.Protocol, "the server's challenge in "+command+" makes no sense", hintBetween)}
}
