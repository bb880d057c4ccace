package pop3

import "strings"

// The trace shows the lines of the protocol at trace level. Secrets are
// replaced before they get here (send's show argument, mask), the lines of
// listings and messages are only counted.

const hidden = "***"

func (c *Client) traceSent(line string) {
	c.cfg.Trace.Trace().Str("client", line).Msg("pop3 command")
}

func (c *Client) traceReceived(line string) {
	c.cfg.Trace.Trace().Str("server", line).Msg("pop3 reply")
}

func (c *Client) traceCount(n int) {
	c.cfg.Trace.Trace().Int("size", n).Msg("pop3 data")
}

func (c *Client) traceNote(text string) {
	c.cfg.Trace.Trace().Str("what", text).Msg("pop3 event")
}

// mask hides secrets that a server echoes, as some do with a command they
// don't know.
func (c *Client) mask(line string) string {
	for _, secret := range c.masked {
		line = strings.ReplaceAll(line, secret, hidden)
	}
	return line
}

// sendSecret sends prefix+secret. From now on the secret is masked.
func (c *Client) sendSecret(prefix, secret string) error {
	if secret != "" {
		c.masked = append(c.masked, secret)
	}
	c.secret = true
	return c.send(prefix+secret, prefix+hidden)
}
