package pop3

import "github.com/popbridge/popbridge/internal/mailconn"

// The trace shows the lines of the protocol at trace level. Secrets are
// replaced before they get here (send's show argument, secrets), the lines of
// listings and messages are only counted.

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

// sendSecret sends prefix+secret. From now on the secret is masked.
func (c *Client) sendSecret(prefix, secret string) error {
	c.secrets.Add(secret)
	c.secret = true
	return c.send(prefix+secret, prefix+mailconn.Hidden)
}
