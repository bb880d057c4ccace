package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// Client is one SMTP session. It is made by Dial.
type Client struct {
	cfg     Config
	wire    *mailconn.Conn
	ext     Extensions
	secrets mailconn.Secrets
	last    string // the last command, without its arguments
	secret  bool   // the last line sent was a secret: the server has it and has not answered
	open    bool   // MAIL was sent since the last answer to a final dot
	dead    error  // the error that ended the connection
}

func newClient(cfg Config, conn *mailconn.Conn) *Client { return &Client{cfg: cfg, wire: conn} }

// Close drops the connection.
func (c *Client) Close() error { return c.wire.Close() }

// Extensions is what the server announced last.
func (c *Client) Extensions() Extensions { return c.ext }

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
	if err != nil && c.dead != nil && ctx.Err() != nil {
		c.dead = fmt.Errorf("smtp session abandoned: %w", ctx.Err())
		return c.dead
	}
	return err
}

// fail ends the connection because of err, which is classified on the way.
func (c *Client) fail(err error) error { return c.end(c.classify(err)) }

// end ends the connection because of err. The first error counts.
func (c *Client) end(err error) error {
	if c.dead == nil {
		c.dead = err
		_ = c.wire.Close()
	}
	return c.dead
}

// command sends a command without secrets and returns its reply, where that is
// positive.
func (c *Client) command(line string) (Reply, []string, error) {
	if err := c.send(line, line); err != nil {
		return Reply{}, nil, err
	}
	return c.reply(line)
}

// send writes one line. show is what the trace gets to see instead of it.
func (c *Client) send(line, show string) error {
	if err := c.quiet(); err != nil {
		return err
	}
	c.queue(line, show)
	return c.flush()
}

func (c *Client) queue(line, show string) {
	c.cfg.Trace.Trace().Str("client", show).Msg("smtp command")
	if show == line {
		c.last = verb(line)
	}
	c.secret = show != line
	// The error of a bufio.Writer is sticky: flush reports it.
	_, _ = c.wire.W.WriteString(line)
	_, _ = c.wire.W.WriteString("\r\n")
}

// sendSecret sends a line that is masked from now on.
func (c *Client) sendSecret(line string) error {
	c.secrets.Add(line)
	return c.send(line, mailconn.Hidden)
}

func (c *Client) flush() error {
	c.wire.Within(c.cfg.Timeouts.Reply)
	if err := c.wire.W.Flush(); err != nil {
		return c.lost(err)
	}
	return nil
}

// quiet makes sure that nothing is left of the replies when none is due. Only a 421
// may come by itself (RFC 5321 section 3.8).
func (c *Client) quiet() error {
	n := c.wire.R.Buffered()
	if n == 0 {
		return nil
	}
	if c.wire.LineBuffered() {
		r, _, err := c.receive(c.cfg.Timeouts.Reply)
		if err == nil && r.Code == closing {
			return c.fail(&ReplyError{Reply: r, Command: "idle"})
		}
	}
	return c.fail(fault.New(fault.Protocol, fmt.Sprintf("the server sent %s that nothing asked for", fault.Count(n, "byte")), hintTamper))
}

// lost ends the connection because of a write that failed. What the server said
// before it went away says more than the error.
func (c *Client) lost(err error) error {
	if r, _, e := c.receive(lastWords); e == nil && r.Negative() {
		return c.fail(&ReplyError{Reply: r, Command: c.last})
	}
	return c.fail(err)
}

// lastWords is the time in which a server that has gone must have said why.
const lastWords = time.Second

// Quit ends the session and closes the connection. Its error means nothing for the
// messages that were sent.
func (c *Client) Quit(ctx context.Context) error {
	err := c.run(ctx, func() error {
		c.queue("QUIT", "QUIT")
		c.wire.Within(quitWait)
		if err := c.wire.W.Flush(); err != nil {
			return c.fail(err)
		}
		_, _, err := c.replyWithin("QUIT", quitWait)
		return err
	})
	if c.dead == nil {
		c.dead = fault.Wrap(net.ErrClosed, fault.Internal, "the session has ended", "")
	}
	_ = c.wire.Close()
	return err
}

// verb is a command without its arguments.
func verb(line string) string {
	verb, _, _ := strings.Cut(line, " ")
	return verb
}

// isReply reports whether err is a reply, after which the session goes on unless it
// has ended.
func isReply(err error) bool {
	_, ok := errors.AsType[*ReplyError](err)
	return ok
}
