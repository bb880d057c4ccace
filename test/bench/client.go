package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// client is an IMAP client that costs little itself.
type client struct {
	net.Conn
	r   *bufio.Reader
	buf []byte
	n   int
}

// devicePassword opens the mailbox in popbridge.
const devicePassword = "bench-pass"

// dial connects, logs in and selects INBOX.
func dial(ctx context.Context, port int, password string) (*client, error) {
	c, err := login(ctx, port, password)
	if err != nil {
		return nil, err
	}
	if _, err := c.command("SELECT INBOX", ""); err != nil {
		_ = c.Close() // the first error says it all
		return nil, err
	}
	return c, nil
}

func login(ctx context.Context, port int, password string) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", rig.Addr(port))
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn, r: bufio.NewReader(conn)}
	if _, err = c.r.ReadString('\n'); err == nil {
		_, err = c.command("LOGIN bench "+password, "")
	}
	if err != nil {
		_ = conn.Close() // the first error says it all
		return nil, err
	}
	return c, nil
}

func (c *client) send(line, literal string) (tag string, err error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		return "", err
	}
	c.n++
	tag = fmt.Sprintf("t%06d ", c.n)
	if _, err := io.WriteString(c, tag+line+"\r\n"); err != nil || literal == "" {
		return tag, err
	}
	if got, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(got, "+") {
		return "", fmt.Errorf("no continuation but %q, %w", got, err)
	}
	_, err = io.WriteString(c, literal+"\r\n")
	return tag, err
}

// command sends one line and returns how many octets were answered. It looks at
// the end of each piece that arrives and at nothing else: what the client costs
// would be counted on both sides.
func (c *client) command(line, literal string) (size int64, err error) {
	tag, err := c.send(line, literal)
	if err != nil {
		return 0, err
	}
	if c.buf == nil {
		c.buf = make([]byte, 1<<20)
	}
	kept := 0 // the end of the piece before
	for {
		n, err := c.read(c.buf[kept:])
		if err != nil {
			return size, err
		}
		size += int64(n)
		got := c.buf[:kept+n]
		if last, ok := bytes.CutSuffix(got, []byte("\r\n")); ok {
			last = last[bytes.LastIndexByte(last, '\n')+1:]
			if bytes.HasPrefix(last, []byte(tag)) {
				if !bytes.HasPrefix(last[len(tag):], []byte("OK")) {
					return size, fmt.Errorf("answered %q", last)
				}
				return size, nil
			}
		}
		kept = copy(c.buf, got[max(0, len(got)-4096):])
	}
}

// read empties the buffer of answers first.
func (c *client) read(p []byte) (int, error) {
	if c.r.Buffered() > 0 {
		return c.r.Read(p)
	}
	return c.Conn.Read(p)
}

// answers sends a line and returns a hash of each untagged response that contains
// word, its literals included, and how many octets these have in all.
func (c *client) answers(line, literal, word string) (sums []uint64, octets int64, err error) {
	tag, err := c.send(line, literal)
	if err != nil {
		return nil, 0, err
	}
	for {
		text, size, err := c.response()
		octets += size
		switch {
		case err != nil:
			return nil, 0, err
		case strings.HasPrefix(text, tag+"OK"):
			return sums, octets, nil
		case strings.HasPrefix(text, tag):
			return nil, 0, fmt.Errorf("answered %q", text)
		case strings.Contains(text, word):
			h := fnv.New64a()
			_, _ = io.WriteString(h, canonical(text)) // a hash takes everything
			sums = append(sums, h.Sum64())
		}
	}
}

// response reads a response; each literal is replaced by its size and a hash.
func (c *client) response() (text string, octets int64, err error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", octets, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		open := strings.LastIndexByte(line, '{')
		size, notOne := int64(0), error(nil)
		if open < 0 || !strings.HasSuffix(line, "}") {
			return text + line, octets, nil
		}
		if size, notOne = strconv.ParseInt(line[open+1:len(line)-1], 10, 64); notOne != nil {
			return text + line, octets, nil
		}
		h := fnv.New64a()
		if _, err := io.CopyN(h, c.r, size); err != nil {
			return "", octets, err
		}
		octets += size
		text += fmt.Sprintf("%s%d:%x", line[:open], size, h.Sum64())
	}
}

// canonical brings what may be told in several ways into one: the order and the
// quotes of a response that is nothing but words. \Recent and the time of delivery are
// each server's own.
func canonical(text string) string {
	if strings.Contains(text, "ENVELOPE") || strings.Contains(text, "BODYSTRUCTURE") {
		return text
	}
	if before, after, ok := strings.Cut(text, `INTERNALDATE "`); ok {
		_, after, _ = strings.Cut(after, `"`)
		text = before + after
	}
	words := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(` "()`, c) })
	words = slices.DeleteFunc(words, func(w string) bool { return w == `\Recent` })
	slices.Sort(words)
	return strings.Join(words, " ")
}
