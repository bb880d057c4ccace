package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// commandTimeout is how long an answer may take before it counts as an error.
const commandTimeout = 30 * time.Second

// client is one connection. It knows as much of IMAP as it needs to notice
// when an answer is wrong.
type client struct {
	conn   net.Conn
	r      *bufio.Reader
	tags   int
	exists int // messages in the selected mailbox
	log    *log
}

var (
	literalAtEnd = regexp.MustCompile(`\{(\d+)\}\r\n$`)
	existsLine   = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)`)
	newUID       = regexp.MustCompile(`\[APPENDUID \d+ (\d+)\]`)
)

// errBusy is a server that has as many connections as it takes: those of
// clients that have just broken off may still count.
var errBusy = errors.New("too many connections")

func dial(ctx context.Context, port int, user, password string, l *log) (*client, error) {
	start := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", rig.Addr(port))
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 1<<16), log: l}
	greeting, err := c.read()
	if err == nil && strings.HasPrefix(greeting, "* BYE [LIMIT]") {
		err = errBusy
	}
	if err == nil {
		_, err = c.do("", "LOGIN "+user+" "+password)
	}
	if err != nil {
		_ = conn.Close() // the error is what counts
		return nil, err
	}
	l.took("login", time.Since(start))
	return c, nil
}

// read returns one response, with its literals.
func (c *client) read() (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(commandTimeout)); err != nil {
		return "", err
	}
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			return all.String(), err
		}
		m := literalAtEnd.FindStringSubmatch(line)
		if m == nil {
			return all.String(), nil
		}
		size, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(&all, c.r, size); err != nil {
			return "", err
		}
	}
}

func (c *client) send(text string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(commandTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, text)
	return err
}

// do sends a command, with a literal where one is given, and returns the
// answer, the tagged line last. Anything but OK is an error. name is the row of
// the table that the time goes to; none where it is empty.
func (c *client) do(name, line string, literal ...string) ([]string, error) {
	start := time.Now()
	c.tags++
	tag := fmt.Sprintf("t%d ", c.tags)
	for _, text := range literal {
		line += fmt.Sprintf(" {%d}", len(text))
	}
	if err := c.send(tag + line + "\r\n"); err != nil {
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	for _, text := range literal {
		if got, err := c.read(); err != nil || !strings.HasPrefix(got, "+") {
			return nil, fmt.Errorf("%s: no continuation but %q: %w", line, got, err)
		}
		if err := c.send(text + "\r\n"); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	return c.answer(name, tag, line, start)
}

func (c *client) answer(name, tag, line string, start time.Time) (answer []string, err error) {
	for {
		got, err := c.read()
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", line, got, err)
		}
		answer = append(answer, got)
		switch m := existsLine.FindStringSubmatch(got); {
		case strings.HasPrefix(got, tag+"OK"):
			if name != "" {
				c.log.took(name, time.Since(start))
			}
			return answer, nil
		case !strings.HasPrefix(got, "* "), strings.HasPrefix(got, "* BYE") && line != "LOGOUT":
			return nil, fmt.Errorf("%s: answered %q", line, got)
		case m == nil:
		case m[2] == "EXPUNGE":
			c.exists--
		default:
			if c.exists, err = strconv.Atoi(m[1]); err != nil {
				return nil, err
			}
		}
	}
}

// idle waits until news come or the time is over, and then says DONE.
func (c *client) idle(wait time.Duration) error {
	c.tags++
	tag := fmt.Sprintf("t%d ", c.tags)
	start := time.Now()
	if err := c.send(tag + "IDLE\r\n"); err != nil {
		return err
	}
	if got, err := c.read(); err != nil || !strings.HasPrefix(got, "+") {
		return fmt.Errorf("IDLE: %q: %w", got, err)
	}
	c.log.took("idle", time.Since(start))
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, _ = c.r.Peek(1) // the end of the wait, or news, which the answer below begins with
	start = time.Now()
	if err := c.send("DONE\r\n"); err != nil {
		return err
	}
	_, err := c.answer("done", tag, "IDLE", start)
	return err
}

// logout ends the session as one should, and waits for the server to close.
func (c *client) logout() error {
	_, err := c.do("logout", "LOGOUT")
	if err == nil {
		if got, more := c.read(); !errors.Is(more, io.EOF) {
			err = fmt.Errorf("after LOGOUT: %q: %w", got, more)
		}
	}
	return errors.Join(err, c.conn.Close())
}
