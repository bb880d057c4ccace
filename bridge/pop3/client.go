package pop3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// Client is one POP3 session. It is made by Dial.
type Client struct {
	cfg       Config
	wire      *mailconn.Conn
	greeted   bool   // the first command was answered: no line can belong to the greeting any more
	last      string // the last command, without its arguments; "" once it was accepted
	secret    bool   // the password was sent
	retrieved bool   // a RETR was sent: a line may be content
	unproven  bool   // a RETR was sent since the last check that passed
	check     Check
	checkable bool // a check has passed
	bareLF    bool // the server ends lines with a bare LF
	unstuffed bool // the server does not byte-stuff

	caps      Capabilities
	timestamp string // RFC 1939 section 7: of the greeting, for APOP
	emptyDrop bool   // STAT said that there are no messages
	stat      string // the answer to STAT

	secrets  mailconn.Secrets
	warnings []string
	dead     error // the error that ended the connection
}

// maxWarnings is the number of warning texts that are kept.
const maxWarnings = 8

func newClient(cfg Config, conn *mailconn.Conn) *Client {
	c := &Client{cfg: cfg, bareLF: cfg.BareLF, unstuffed: cfg.Unstuffed, wire: conn}
	c.wire.Within(cfg.Timeouts.Greeting)
	return c
}

// Close drops the connection. Without Quit before it, the server undoes the
// deletions of the session (RFC 1939 section 6).
func (c *Client) Close() error { return c.wire.Close() }

// TLS returns how the connection is protected, and false where it is not.
func (c *Client) TLS() (TLSInfo, bool) { return c.wire.Info(len(c.cfg.Pins) > 0) }

// Capabilities is what the server announced last.
func (c *Client) Capabilities() Capabilities { return c.caps }

// Warnings are the texts of the first few oddities that were tolerated in this
// session. Foreign text in them is quoted.
func (c *Client) Warnings() []string { return c.warnings }

// Oddities says that the server ends its lines with a bare LF, and that it does
// not byte-stuff its messages.
func (c *Client) Oddities() (bareLF, unstuffed bool) {
	return c.bareLF || errors.Is(c.dead, ErrBareLF), c.unstuffed
}

func (c *Client) warn(format string, args ...any) {
	if len(c.warnings) < maxWarnings {
		c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
	}
}

// run runs one step of the session. When ctx ends, the connection is closed
// and so the step ends at once; its error is then that of the context.
func (c *Client) run(ctx context.Context, step func() error) error {
	if c.dead != nil {
		return c.dead
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	err := step()
	stop()
	if c.dead != nil && ctx.Err() != nil {
		c.dead = fmt.Errorf("pop3 session abandoned: %w", ctx.Err())
		return c.dead
	}
	return err
}

// fail ends the connection because of err, which is classified on the way.
func (c *Client) fail(err error) error {
	if c.dead == nil {
		c.dead = c.lost(c.classify(err))
		_ = c.wire.Close()
	}
	return c.dead
}

// send writes one command. show is what the trace gets to see instead of it.
func (c *Client) send(line, show string) error {
	c.queue(line, show)
	return c.flush()
}

func (c *Client) queue(line, show string) {
	c.traceSent(show)
	if verb, _, _ := strings.Cut(show, " "); verb != "" && verb[0] >= 'A' && verb[0] <= 'Z' {
		c.last = verb
	}
	// The error of a bufio.Writer is sticky: flush reports it.
	_, _ = c.wire.W.WriteString(line)
	_, _ = c.wire.W.WriteString("\r\n")
}

func (c *Client) flush() error {
	c.wire.Within(c.cfg.Timeouts.Reply)
	if err := c.wire.W.Flush(); err != nil {
		return c.fail(err)
	}
	return nil
}

// command sends a command without secrets and returns the text of its +OK.
func (c *Client) command(line string) (string, error) {
	if err := c.send(line, line); err != nil {
		return "", err
	}
	return c.reply(line)
}

// Stat returns the number of messages and their octets (RFC 1939 section 5).
func (c *Client) Stat(ctx context.Context) (count int, size int64, err error) {
	err = c.run(ctx, func() error {
		text, err := c.command("STAT")
		if err != nil {
			return err
		}
		fields := strings.Fields(text)
		if len(fields) > 0 {
			count, err = strconv.Atoi(fields[0])
		}
		if len(fields) == 0 || err != nil || count < 0 {
			count = 0
			return fault.New(fault.Protocol, "the server gave no number of messages but "+fault.Quote(text), "")
		}
		if len(fields) > 1 {
			size, _ = strconv.ParseInt(fields[1], 10, 64)
		}
		if len(fields) < 2 || size < 0 {
			c.warn("STAT: no size in %s", fault.Quote(text))
			size = 0
		}
		c.emptyDrop, c.stat = count == 0, text
		return nil
	})
	return count, size, err
}

// Dele marks messages as deleted, which the server does at Quit only. It
// returns those that the server marked; those it refused go to failed. err ends
// the connection.
func (c *Client) Dele(ctx context.Context, nums []int, failed func(num int, err error)) (done []int, err error) {
	err = c.run(ctx, func() error {
		if err := c.prove(); err != nil {
			return err
		}
		window := 1
		if c.pipelining() {
			window = c.cfg.Window.Count
		}
		for sent := 0; len(nums) > 0; nums = nums[sent:] {
			sent = min(window, len(nums))
			for _, num := range nums[:sent] {
				line := "DELE " + strconv.Itoa(num)
				c.queue(line, line)
			}
			if err := c.flush(); err != nil {
				return err
			}
			for _, num := range nums[:sent] {
				_, err := c.reply("DELE " + strconv.Itoa(num))
				switch {
				case err == nil:
					done = append(done, num)
				case isReply(err):
					failed(num, err)
				default:
					return err
				}
			}
		}
		return c.quiet()
	})
	return done, err
}

// Quit ends the session and closes the connection. Nil means that the server
// answered +OK, and so that it removed the messages marked by Dele (RFC 1939
// section 6). After any error they may or may not be there.
func (c *Client) Quit(ctx context.Context) error {
	err := c.run(ctx, func() error {
		if err := c.send("QUIT", "QUIT"); err != nil {
			return err
		}
		failpoint.Hit(failpoint.Quit)
		_, err := c.reply("QUIT")
		return err
	})
	if c.dead == nil {
		c.dead = fault.Wrap(net.ErrClosed, fault.Internal, "the session has ended", "")
	}
	_ = c.wire.Close()
	return err
}

// pipelining is off at a server with bare LFs: what follows a message tells that
// it goes on.
func (c *Client) pipelining() bool {
	return c.caps.Pipelining() && !c.cfg.NoPipelining && !c.bareLF
}

// isReply reports whether err is an -ERR, after which the session goes on.
func isReply(err error) bool {
	_, ok := errors.AsType[*ReplyError](err)
	return ok
}
