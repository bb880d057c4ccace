package localimap

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// clearCapabilities is what there is before STARTTLS.
const clearCapabilities = "CAPABILITY IMAP4rev2 IMAP4rev1 SASL-IR LITERAL- STARTTLS LOGINDISABLED"

var errLogout = errors.New("the client has logged out")

// startTLS speaks with a client until TLS protects the connection (RFC 9051
// section 6.2.1); nobody logs in before. The library has STARTTLS of its own,
// but puts TLS between itself and conn, where lines and literals can't be told
// from each other (framing.go).
func (c *conn) startTLS(config *tls.Config) error {
	c.frames.amends.startTLS = true
	defer func() { c.frames.amends.startTLS = false }()
	c.say("* OK [%s] IMAP server ready", clearCapabilities)
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		words := strings.Fields(line) // at least two, see amend.go
		tag, command := words[0], strings.ToUpper(words[1])
		switch {
		case command == "LOGIN" || command == "AUTHENTICATE":
			c.say("%s NO [PRIVACYREQUIRED] TLS is required to log in", tag)
		case command == "CAPABILITY" && len(words) == 2:
			c.say("* %s", clearCapabilities)
			c.say("%s OK CAPABILITY completed", tag)
		case command == "NOOP" && len(words) == 2:
			c.say("%s OK NOOP completed", tag)
		case command == "LOGOUT" && len(words) == 2:
			c.say("* BYE Logging out")
			c.say("%s OK LOGOUT completed", tag)
			return errLogout
		case command == "STARTTLS" && len(words) == 2:
			c.say("%s OK Begin TLS negotiation now", tag)
			if err := c.secure(config); err != nil {
				return err
			}
			c.mu.Lock()
			c.mute = true // there is no second greeting
			c.mu.Unlock()
			return nil
		default: // it has arguments that it should not have
			c.say("%s BAD [CLIENTBUG] %s takes no arguments", tag, command)
		}
	}
}

// secure puts TLS over the network.
func (c *conn) secure(config *tls.Config) error {
	c.mu.Lock()
	err := c.flushLocked()
	if len(c.frames.in) > 0 { // in the clear, from whomever
		err = errors.New("the client has sent more than STARTTLS")
	}
	c.shaking = true
	c.mu.Unlock()
	if err != nil {
		return err
	}
	stream := tls.Server(c.Conn, config)
	_ = c.Conn.SetDeadline(time.Now().Add(handshakeTimeout)) // an error shows in the handshake
	err = stream.Handshake()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shaking = false
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		c.foreign(c, "a client sent plain text where the IMAP server expects TLS",
			"set the client to SSL/TLS where [imap] tls is \"implicit\"")
	}
	if err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.stream = stream
	c.hearLocked()
	return nil
}

// line reads a line.
func (c *conn) line() (string, error) {
	var text []byte
	p := make([]byte, 512)
	for {
		n, err := c.Read(p)
		if text = append(text, p[:n]...); err != nil || bytes.HasSuffix(text, []byte("\n")) {
			return string(text), err
		}
	}
}

// say writes a line; an error shows at the next read.
func (c *conn) say(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\r\n", args...) }
