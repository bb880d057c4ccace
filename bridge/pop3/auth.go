package pop3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
)

// Method says what kind of secret there is.
type Method uint8

// The methods of logging in.
const (
	MethodPassword Method = iota // the strongest of SCRAM-SHA-256, CRAM-MD5, PLAIN, LOGIN, USER and PASS
	MethodAPOP                   // only when asked for: MD5 of the greeting and the secret
	MethodToken                  // OAuth 2.0 access token: OAUTHBEARER or XOAUTH2
)

// Credentials are what Login needs.
type Credentials struct {
	Username string
	Secret   string // password or access token
	Method   Method
}

// Login logs in with the strongest way the server offers and asks for the
// capabilities again. When the server does not do a mechanism after all, the
// next is tried; when it refuses the credentials, none.
func (c *Client) Login(ctx context.Context, cred Credentials) error {
	if err := cred.sasl().Check(); err != nil {
		return err
	}
	return c.run(ctx, func() error {
		if !c.wire.Secured() && c.cfg.Security != Plain { // Dial sees to it; this is the last door
			return fault.New(fault.Internal, "refusing to send a password without TLS", "")
		}
		c.secrets.Add(cred.Secret)
		if err := c.authenticate(cred); err != nil {
			return err
		}
		return c.capa()
	})
}

func (c *Client) authenticate(cred Credentials) error {
	switch cred.Method {
	case MethodAPOP:
		return c.apop(cred)
	case MethodToken:
		return c.token(cred)
	}
	direct := c.cfg.NoAUTH && (c.wire.Secured() || !c.caps.SASL("SCRAM-SHA-256") && !c.caps.SASL("CRAM-MD5"))
	for _, m := range c.mechanisms(cred) {
		if direct || !c.caps.SASL(m.Name) {
			continue
		}
		err := c.exchange(m)
		if _, ok := errors.AsType[sasl.NotDone](err); !ok {
			return err
		}
		c.warn("%v", err)
	}
	return c.userPass(cred)
}

// token prefers OAUTHBEARER. Of a server without CAPA the older XOAUTH2 is the
// likelier one.
func (c *Client) token(cred Credentials) error {
	var err error = fault.New(fault.Config, "the server offers no login by token",
		`set auth = "password", if need be with an app password`)
	for _, m := range c.mechanisms(cred) {
		if !c.caps.SASL(m.Name) && (c.caps.Known() || m.Name != "XOAUTH2") {
			continue
		}
		err = c.exchange(m)
		if _, ok := errors.AsType[sasl.NotDone](err); !ok {
			return err
		}
		c.warn("%v", err)
	}
	return err
}

// userPass is RFC 1939 section 7.
func (c *Client) userPass(cred Credentials) error {
	if _, err := c.command("USER " + cred.Username); err != nil {
		return c.loginError(err)
	}
	if err := c.sendSecret("PASS ", cred.Secret); err != nil {
		return err
	}
	_, err := c.reply("PASS")
	return c.loginError(err)
}

// apop is RFC 1939 section 7.
func (c *Client) apop(cred Credentials) error {
	if c.timestamp == "" {
		return fault.New(fault.Config, "the server's greeting has no time stamp, so it does not do APOP", `set auth = "password"`)
	}
	sum := md5.Sum([]byte(c.timestamp + cred.Secret))
	if err := c.sendSecret("APOP "+cred.Username+" ", hex.EncodeToString(sum[:])); err != nil {
		return err
	}
	_, err := c.reply("APOP")
	return c.loginError(err)
}

func (cred Credentials) sasl() sasl.Credentials {
	return sasl.Credentials{Username: cred.Username, Secret: cred.Secret, Token: cred.Method == MethodToken}
}

func (c *Client) mechanisms(cred Credentials) []*sasl.Mechanism {
	return sasl.Mechanisms(cred.sasl(), c.cfg.Host, c.cfg.Port)
}

// exchange is the AUTH command (RFC 5034 section 4). The initial response is
// never sent along with it; see sasl.Mechanism.
func (c *Client) exchange(m *sasl.Mechanism) error {
	command := "AUTH " + m.Name
	if err := c.send(command, command); err != nil {
		return err
	}
	for step := range sasl.MaxSteps {
		challenge, done, err := c.challenge(command)
		if err != nil {
			return c.refusal(m, err, step)
		}
		if done {
			if err := m.Verify(); err != nil {
				return c.fail(err)
			}
			return nil
		}
		response, err := m.Step(challenge)
		if err != nil {
			return c.cancel(command, err)
		}
		if err := c.sendSecret("", base64.StdEncoding.EncodeToString(response)); err != nil {
			return err
		}
	}
	return c.fail(fault.New(fault.Protocol, "the server asks without end in "+command, ""))
}

// refusal classifies an -ERR within an exchange. Before anything but the name of
// the mechanism was sent it can't be about the credentials; later it is, unless
// it says otherwise.
func (c *Client) refusal(m *sasl.Mechanism, err error, step int) error {
	reply, ok := errors.AsType[*ReplyError](err)
	if !ok {
		return err
	}
	meaning, known := reply.meaning()
	if m.Detail != "" && (!known || meaning.kind == fault.Auth) {
		return fault.Wrap(reply, fault.Auth, "the server refused the token: "+fault.Quote(c.secrets.Mask(m.Detail)), hintToken)
	}
	if step == 0 && (!known || meaning.kind == fault.Auth) || (!known || meaning.kind == fault.Auth) && reply.aboutMechanism() {
		return sasl.NotDone{Err: err}
	}
	return c.loginError(err)
}

// cancel gives up an exchange (RFC 5034 section 4: "*").
func (c *Client) cancel(command string, cause error) error {
	if errors.Is(cause, sasl.ErrServerUnproven) {
		return c.fail(cause)
	}
	if err := c.send("*", "*"); err != nil {
		return err
	}
	if _, err := c.reply(command); !isReply(err) {
		if err == nil {
			err = c.fail(fault.New(fault.Protocol, "the server accepted a login that was given up", ""))
		}
		return err
	}
	return sasl.NotDone{Err: fault.Wrap(cause, fault.Protocol, "the server's challenge in "+command+" makes no sense", "")}
}

// challenge reads a continuation, or the status that ends the exchange.
func (c *Client) challenge(command string) (challenge []byte, done bool, err error) {
	line, err := c.statusLine()
	if err != nil {
		return nil, false, err
	}
	c.greeted = true
	if _, ok := cutFold(line, "+OK"); ok {
		return nil, true, nil
	}
	if text, ok := cutFold(line, "-ERR"); ok {
		return nil, false, c.classify(newReplyError(command, c.secrets.Mask(text)))
	}
	text, ok := strings.CutPrefix(line, "+")
	if !ok {
		return nil, false, c.fail(fault.New(fault.Protocol,
			fmt.Sprintf("the server answered %s to %s", c.foreign(line), command), ""))
	}
	text = strings.TrimSpace(text)
	challenge, err = base64.StdEncoding.DecodeString(text)
	if err != nil {
		challenge = []byte(text) // "+ Username:" in plain text is seen; most mechanisms don't read it
	}
	return challenge, false, nil
}
