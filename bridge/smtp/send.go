package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// Envelope is from whom and to whom a message goes.
type Envelope struct {
	From     string   // address without brackets; "" is the null sender
	To       []string // the same, at least one
	Size     int64    // bytes of the message, about; 0: not known
	EightBit bool     // the message has bytes above 127
	// DSN has the parameters of RFC 3461 section 4 by recipient, those of MAIL by "": "RET=HDRS
	// ENVID=1", "NOTIFY=NEVER". They are left out where the server does not announce DSN, and
	// those that are not of that form.
	DSN  map[string]string
	UTF8 bool // its header has UTF-8 (RFC 6531), and so bytes above 127; where an address has, that goes without saying
}

// Phase is how far a transaction came.
type Phase uint8

// The phases of a transaction. In all before AfterDot the server does not have the
// message.
const (
	Connected Phase = iota // nothing was sent
	Mail                   // MAIL was sent
	Rcpt                   // MAIL was accepted
	Data                   // DATA was sent, and perhaps the message, but not its end
	AfterDot               // the final dot was sent, in part or as a whole, and not answered: the server may have the message
	Answered               // Outcome.Final is the answer to the final dot
)

var phaseNames = [...]string{"connected", "mail", "rcpt", "data", "after dot", "answered"}

// String returns the name of the phase in lower case.
func (p Phase) String() string { return phaseNames[p] }

// Outcome is what came of a transaction.
type Outcome struct {
	Recipients []Reply // one for each of Envelope.To, the answer to its RCPT; the zero Reply where none came
	Final      Reply   // the answer to the final dot; zero where none came
	Phase      Phase
}

// Why a message was not offered to a server, or not to its end. They are found with
// errors.Is; a message for which one of them is met is not taken by this server in
// this form.
var (
	ErrEightBit = errors.New("8-bit content without 8BITMIME")
	ErrUTF8     = errors.New("international address or header without SMTPUTF8")
	ErrTooLarge = errors.New("larger than the server's SIZE")
	ErrAddress  = errors.New("not an address")
	ErrLineEnd  = errors.New("a line end that is not CRLF")
)

// Send is one transaction. beforeDot is called when every byte of the message but
// the final dot has left, after at least one recipient was taken, with the answers to
// RCPT as in the Outcome; its error ends the connection without the dot.
//
// The Outcome counts whatever the error is. The error is nil when the transaction
// came to its end, which may be a refusal: of every recipient (Phase Rcpt), or of the
// message (Phase Answered). A *ReplyError is the refusal of MAIL, DATA or, before it
// was complete, of the message. The message is sent as it is, but for dots that
// begin a line and a line end behind its last line.
func (c *Client) Send(ctx context.Context, e Envelope, body io.Reader, beforeDot func(context.Context, []Reply) error) (Outcome, error) {
	out := Outcome{Recipients: make([]Reply, len(e.To))}
	err := c.run(ctx, func() error {
		if err := c.fits(e); err != nil {
			return err
		}
		if c.open { // what is left of a transaction that was given up
			if _, _, err := c.command("RSET"); err != nil {
				return err
			}
		}
		if taken, err := c.envelope(e, &out); err != nil || taken == 0 {
			return err
		}
		if err := c.data(ctx, e, body, beforeDot, &out); err != nil {
			return err
		}
		return c.final(&out)
	})
	return out, err
}

// fits reports what makes the server unfit for the message, or the envelope for SMTP.
func (c *Client) fits(e Envelope) error {
	if len(e.To) == 0 {
		return fault.Wrap(ErrAddress, fault.Denied, "the message has no recipient", "add one")
	}
	for i, address := range append([]string{e.From}, e.To...) {
		if !isMailbox(address) || i > 0 && address == "" {
			return fault.Wrap(ErrAddress, fault.Denied, "the address "+fault.Quote(address)+" cannot be sent to a server", "check the address")
		}
	}
	switch {
	case e.needsUTF8() && !c.ext.UTF8:
		return fault.Wrap(ErrUTF8, fault.Denied, "the server takes no international addresses", "use addresses without special characters")
	case e.eightBit() && !c.ext.EightBit:
		return fault.Wrap(ErrEightBit, fault.Denied, "the server takes no 8-bit text", "set the mail program to quoted-printable")
	case c.ext.Size > 0 && e.Size > c.ext.Size:
		return fault.Wrap(ErrTooLarge, fault.Denied, fmt.Sprintf("the message has %d bytes, and the server takes %d", e.Size, c.ext.Size), "send smaller attachments")
	}
	return nil
}

// isMailbox reports whether an address can stand between brackets, "" too. It does not
// ask for more: what an address is the server knows.
func isMailbox(address string) bool {
	quoted, escaped := false, false
	for _, r := range address {
		switch {
		case unicode.IsControl(r) || r == utf8.RuneError:
			return false
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case !quoted && (r == '<' || r == '>' || r == ' '):
			return false
		}
	}
	return !quoted && !escaped && len(address) <= 1000
}

func (e Envelope) eightBit() bool { return e.EightBit || e.UTF8 }

func (e Envelope) needsUTF8() bool {
	return e.UTF8 || !isASCII(e.From) || !isASCII(strings.Join(e.To, ""))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
}

// pipelined is how many commands are sent ahead of their replies (RFC 2920): with
// these neither side's buffers fill.
const pipelined = 50

// envelope is MAIL and RCPT. It returns how many recipients were taken.
func (c *Client) envelope(e Envelope, out *Outcome) (taken int, err error) {
	lines := []string{c.mail(e)}
	for _, to := range e.To {
		lines = append(lines, "RCPT TO:<"+to+">"+c.dsn(e, to))
	}
	window := 1
	if c.ext.Pipelining {
		window = pipelined
	}
	c.open = true
	var refused error
	for next := 0; next < len(lines) && refused == nil; {
		if err := c.quiet(); err != nil {
			return 0, err
		}
		until := min(next+window, len(lines))
		for _, line := range lines[next:until] {
			c.queue(line, line)
		}
		out.Phase = max(out.Phase, Mail)
		if err := c.flush(); err != nil {
			return 0, err
		}
		for ; next < until; next++ {
			r, _, err := c.reply(lines[next])
			switch {
			case next > 0 && refused == nil:
				out.Recipients[next-1] = r
			case next == 0 && r.Positive():
				out.Phase = Rcpt
			case next == 0:
				refused = err
			}
			switch {
			case c.dead != nil && refused != nil:
				return 0, refused
			case c.dead != nil:
				return 0, err
			case err == nil && !r.Positive():
				return 0, c.unexpected(lines[next], r)
			case err == nil && next > 0:
				taken++
			}
		}
	}
	return taken, refused
}

// mail is the MAIL command. BODY is said of 8-bit messages only: some servers refuse
// it from those that they then count as rewritten.
func (c *Client) mail(e Envelope) string {
	line := "MAIL FROM:<" + e.From + ">"
	if c.ext.size && e.Size > 0 {
		line += fmt.Sprintf(" SIZE=%d", e.Size)
	}
	if e.eightBit() {
		line += " BODY=8BITMIME"
	}
	if e.needsUTF8() {
		line += " SMTPUTF8"
	}
	return line + c.dsn(e, "")
}

var dsnParameters = regexp.MustCompile(`^(RET|ENVID|NOTIFY|ORCPT)=[!-~]+( (RET|ENVID|NOTIFY|ORCPT)=[!-~]+)*$`)

// dsn is what of Envelope.DSN a command has.
func (c *Client) dsn(e Envelope, of string) string {
	if asked := e.DSN[of]; c.ext.DSN && dsnParameters.MatchString(asked) {
		return " " + asked
	}
	return ""
}

// data sends the message up to its final dot.
func (c *Client) data(ctx context.Context, e Envelope, body io.Reader, beforeDot func(context.Context, []Reply) error, out *Outcome) error {
	out.Phase = Data
	r, _, err := c.command("DATA")
	switch {
	case err != nil:
		return err
	case r.Code != 354:
		return c.unexpected("DATA", r)
	}
	c.last = "message"
	n, err := c.content(body, e.eightBit())
	c.cfg.Trace.Trace().Int64("size", n).Msg("smtp data")
	if err != nil {
		return err
	}
	if err := beforeDot(ctx, out.Recipients); err != nil {
		return c.end(err)
	}
	return c.early()
}

// early makes sure that the server has said nothing before the final dot, and is
// still there: what it says then is no answer to it.
func (c *Client) early() error {
	if c.wire.R.Buffered() == 0 {
		c.wire.Within(glance)
		switch _, err := c.wire.R.Peek(1); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return c.fail(mailconn.Unexpected(err))
		}
	}
	r, _, err := c.replyWithin("message", c.cfg.Timeouts.Reply)
	if err == nil {
		return c.unexpected("message", r)
	}
	return c.end(err)
}

// glance is how long is looked for what the network has brought already.
const glance = 10 * time.Millisecond

// final sends the final dot and reads the answer to it.
func (c *Client) final(out *Outcome) error {
	c.wire.Within(c.cfg.Timeouts.Write)
	out.Phase = AfterDot
	failpoint.Hit(failpoint.Dot)
	n, err := c.wire.Write([]byte(".\r\n"))
	failpoint.Hit(failpoint.Dotted)
	if err != nil {
		if n == 0 { // over TLS too: what is left of a record cannot be read
			out.Phase = Data
		}
		return c.lost(err)
	}
	c.last = "."
	r, _, err := c.replyWithin("message", c.cfg.Timeouts.Final)
	failpoint.Hit(failpoint.Answered)
	if !r.Positive() && !r.Negative() {
		if err == nil {
			err = c.unexpected("message", r)
		}
		return err
	}
	out.Phase, out.Final, c.open = Answered, r, false
	return nil
}
