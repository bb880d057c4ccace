package pop3

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// ReplyError is an -ERR answer. errors.Is finds ErrInUse, ErrLoginDelay and
// ErrSessionLimit in it where they apply.
type ReplyError struct {
	Command string // as sent, without secrets; "greeting" for the first line of all
	Code    string // RFC 2449 section 8 response code in upper case, such as "IN-USE"; empty where none was given
	Text    string // what the server said after it: foreign text
}

// Error returns the command and the server's words, quoted.
func (e *ReplyError) Error() string {
	code := ""
	if e.Code != "" {
		code = " [" + e.Code + "]"
	}
	return fmt.Sprintf("%s: server answered -ERR%s %s", e.Command, code, fault.Quote(e.Text))
}

// newReplyError parses what follows "-ERR".
func newReplyError(command, text string) *ReplyError {
	e := &ReplyError{Command: command, Text: strings.TrimSpace(text)}
	// RFC 2449 section 8: resp-code = "[" resp-level *("/" resp-level) "]"
	if rest, ok := strings.CutPrefix(e.Text, "["); ok {
		if code, after, ok := strings.Cut(rest, "]"); ok && isCode(code) {
			e.Code, e.Text = strings.ToUpper(code), strings.TrimSpace(after)
		}
	}
	return e
}

// isCode reports whether s is made of the characters RFC 2449 section 8 has for
// a response code: printable ones, and so safe to show.
func isCode(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// ErrTooSlow ends the connection to a server that keeps it alive with a few bytes
// now and then.
var ErrTooSlow = mailconn.ErrTooSlow

// maxStray is the number of lines that a greeting may have beyond its first.
const maxStray = 100

// reply reads a status line and returns the text after +OK, a classified
// *ReplyError after -ERR, and fails the connection on anything else.
func (c *Client) reply(command string) (string, error) {
	for stray := 0; ; stray++ {
		line, err := c.statusLine()
		if err != nil {
			return "", err
		}
		if text, ok := cutFold(line, "+OK"); ok {
			c.greeted, c.last = true, ""
			return strings.TrimSpace(text), nil
		}
		if text, ok := cutFold(line, "-ERR"); ok {
			c.greeted = true
			return "", c.classify(newReplyError(command, c.secrets.Mask(text)))
		}
		// Some servers greet with dozens of lines; what came in time was
		// skipped with the greeting, the rest is found here.
		if c.greeted || stray >= maxStray {
			return "", c.fail(fault.New(fault.Protocol,
				fmt.Sprintf("the server answered neither +OK nor -ERR to %s but %s", command, c.foreign(line)), ""))
		}
		c.warn("greeting goes on: %s", fault.Quote(line))
	}
}

// statusLine reads one line in the time of a reply. It may hold a secret that
// the server echoes: mask what is shown of it.
func (c *Client) statusLine() (string, error) {
	c.wire.Within(c.cfg.Timeouts.Reply)
	raw, cut, err := c.wire.ReadLine()
	if err != nil {
		return "", c.fail(err)
	}
	if cut {
		c.warn("a status line over %d bytes was cut", mailconn.BufferSize)
	}
	if c.wire.BareLF && !c.bareLF && !cut {
		c.bareLF = true
		c.warn("the server ends its lines with a bare LF")
	}
	line := string(raw)
	c.traceReceived(c.foreign(line))
	return line, nil
}

// foreign quotes a line for logs and errors: without secrets, and without the
// content of messages, which a line may be once answers are out of step.
func (c *Client) foreign(line string) string {
	if c.retrieved && !strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "-") {
		return fmt.Sprintf("%d bytes", len(line))
	}
	return fault.Quote(c.secrets.Mask(line))
}

// multiline reads the lines of a listing up to the final dot (RFC 1939 section
// 3) and hands them over with their dots unstuffed. limit is in bytes.
func (c *Client) multiline(limit int64, yield func(line []byte, cut bool)) error {
	c.wire.Stream(c.cfg.Timeouts.Read, limit)
	for n := 0; ; n++ {
		line, cut, err := c.wire.ReadLine()
		if err != nil {
			return c.fail(err)
		}
		if bytes.Equal(line, dot) {
			c.traceCount(n)
			return nil
		}
		yield(bytes.TrimPrefix(line, dot), cut)
	}
}

var dot = []byte(".")

// cutFold is strings.CutPrefix for an upper-case prefix in any case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
