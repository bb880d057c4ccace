package cli

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
)

// mailbox is what a mail client sees of one: its messages in the order of
// their UIDs.
type mailbox struct {
	name     string
	messages [][]byte
}

// readBack logs in as a mail client would and fetches everything. It speaks
// just enough IMAP for that, so that the demo does not check the server by a
// library that is part of it.
func readBack(ctx context.Context, addr, user, password string) ([]mailbox, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c := &imapReader{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	if _, _, err := c.response(); err != nil { // the greeting
		return nil, err
	}
	if err := c.command(fmt.Sprintf("LOGIN %q %q", user, password), nil); err != nil {
		return nil, err
	}
	var all []mailbox
	list := regexp.MustCompile(`^\* LIST \([^)]*\) "/" (?:"(.*)"|(\S+))$`)
	err = c.command(`LIST "" "*"`, func(line string, _ []byte) {
		if m := list.FindStringSubmatch(line); m != nil {
			all = append(all, mailbox{name: m[1] + m[2]})
		}
	})
	for i := 0; i < len(all) && err == nil; i++ {
		err = c.fetchAll(&all[i])
	}
	return all, errors.Join(err, c.command("LOGOUT", nil))
}

func (c *imapReader) fetchAll(box *mailbox) error {
	if err := c.command(fmt.Sprintf("EXAMINE %q", box.name), nil); err != nil {
		return err
	}
	return c.command("UID FETCH 1:* (BODY.PEEK[])", func(_ string, literal []byte) {
		if literal != nil {
			box.messages = append(box.messages, literal)
		}
	})
}

// imapTimeout is for one response.
const imapTimeout = 20 * time.Second

type imapReader struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

// command sends a command and hands over its responses until the tagged one.
func (c *imapReader) command(text string, each func(line string, literal []byte)) error {
	c.tag++
	tag := fmt.Sprintf("d%d ", c.tag)
	verb, _, _ := strings.Cut(text, " ")
	if err := c.conn.SetDeadline(time.Now().Add(imapTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, tag+text+"\r\n"); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	for {
		line, literal, err := c.response()
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		if answer, ok := strings.CutPrefix(line, tag); ok {
			if !strings.HasPrefix(answer, "OK") {
				return fmt.Errorf("%s: the server answered %s", verb, answer)
			}
			return nil
		}
		if each != nil {
			each(line, literal)
		}
	}
}

var literalAtEnd = regexp.MustCompile(`\{(\d+)\}$`)

// response reads one response. A literal (RFC 9051 section 4.3) is returned
// apart; the line goes on behind it.
func (c *imapReader) response() (line string, literal []byte, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(imapTimeout)); err != nil {
		return "", nil, err
	}
	for {
		part, err := c.r.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		line += strings.TrimRight(part, "\r\n")
		m := literalAtEnd.FindStringSubmatch(line)
		if m == nil {
			return line, literal, nil
		}
		n, err := strconv.ParseUint(m[1], 10, 31)
		if err != nil {
			return "", nil, err
		}
		literal = make([]byte, n)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			return "", nil, err
		}
		line = strings.TrimSuffix(line, m[0])
	}
}
