package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// imapConn speaks IMAP without go-imap: a second opinion about what is on the wire.
type imapConn struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	tags int
	err  error // the connection has ended, which fails the test unless it is fragile

	fragile bool
}

func dialIMAP(t *testing.T, addr, user, password string) *imapConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &imapConn{t: t, conn: conn, r: bufio.NewReaderSize(conn, 1<<16)}
	c.line() // greeting
	c.must("LOGIN %s %s", user, password)
	return c
}

// line reads one line with the literals in it.
func (c *imapConn) line() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return c.broken(err)
		}
		all.WriteString(line)
		open := strings.LastIndexByte(line, '{')
		if open < 0 || !strings.HasSuffix(line, "}\r\n") {
			return strings.TrimSuffix(all.String(), "\r\n")
		}
		size, err := strconv.ParseInt(line[open+1:len(line)-3], 10, 64)
		if err != nil {
			c.t.Fatalf("literal in %q: %v", line, err)
		}
		if _, err := io.CopyN(&all, c.r, size); err != nil {
			return c.broken(err)
		}
	}
}

func (c *imapConn) broken(err error) string {
	c.t.Helper()
	if c.err = err; !c.fragile {
		c.t.Fatalf("reading from the server: %v", err)
	}
	return ""
}

// command returns the untagged responses and the tagged one without its tag.
func (c *imapConn) command(format string, args ...any) (untagged []string, tagged string) {
	c.t.Helper()
	c.tags++
	tag := fmt.Sprintf("t%d ", c.tags)
	if _, err := fmt.Fprintf(c.conn, "%s%s\r\n", tag, fmt.Sprintf(format, args...)); err != nil {
		c.t.Fatal(err)
	}
	return c.answer(tag)
}

func (c *imapConn) answer(tag string) (untagged []string, tagged string) {
	c.t.Helper()
	for {
		line := c.line()
		if rest, ok := strings.CutPrefix(line, tag); ok || c.err != nil {
			return untagged, rest
		}
		untagged = append(untagged, line)
	}
}

// must is a command that is to be answered with OK.
func (c *imapConn) must(format string, args ...any) []string {
	c.t.Helper()
	untagged, tagged := c.command(format, args...)
	if !strings.HasPrefix(tagged, "OK") {
		c.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), tagged)
	}
	return untagged
}

// appendRaw stores a message with APPEND and returns the tagged response.
func (c *imapConn) appendRaw(mailbox string, raw []byte) string {
	c.t.Helper()
	c.tags++
	tag := fmt.Sprintf("t%d ", c.tags)
	if _, err := fmt.Fprintf(c.conn, "%sAPPEND %s {%d}\r\n", tag, mailbox, len(raw)); err != nil {
		c.t.Fatal(err)
	}
	if line := c.line(); !strings.HasPrefix(line, "+") {
		return strings.TrimPrefix(line, tag)
	}
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", raw); err != nil {
		c.t.Fatal(err)
	}
	_, tagged := c.answer(tag)
	return tagged
}

// fetched returns the items of each message in the answer: name -> value, by
// sequence number.
func fetched(t *testing.T, untagged []string) map[int]map[string]any {
	t.Helper()
	all := make(map[int]map[string]any)
	for _, line := range untagged {
		var n int
		if k, _ := fmt.Sscanf(line, "* %d FETCH (", &n); k != 1 {
			continue
		}
		_, rest, _ := strings.Cut(line, "FETCH (")
		items := make(map[string]any)
		for rest != ")" {
			name := itemName(rest)
			if name == "" || len(rest) <= len(name)+1 {
				t.Fatalf("cannot read %q in %q", rest, line)
			}
			var value any
			value, rest = readValue(rest[len(name)+1:])
			rest = strings.TrimPrefix(rest, " ")
			items[name] = value
		}
		all[n] = items
	}
	return all
}

// itemName is the name of a FETCH item, with the spaces in its brackets.
func itemName(s string) string {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ' ':
			if depth == 0 {
				return s[:i]
			}
		}
	}
	return ""
}

// readValue reads an IMAP list, string, literal, NIL (nil) or atom.
func readValue(s string) (value any, rest string) {
	switch s[0] {
	case '(':
		list := []any{}
		for s = s[1:]; s[0] != ')'; s = strings.TrimLeft(s, " ") {
			value, s = readValue(s)
			list = append(list, value)
		}
		return list, s[1:]
	case '"':
		var b strings.Builder
		for i := 1; ; i++ {
			switch s[i] {
			case '"':
				return b.String(), s[i+1:]
			case '\\':
				i++
			}
			b.WriteByte(s[i])
		}
	case '{', '~':
		size, rest, _ := strings.Cut(strings.TrimLeft(s, "~{"), "}\r\n")
		n, _ := strconv.Atoi(size)
		return rest[:n], rest[n:]
	}
	end := strings.IndexAny(s, " ()")
	if s[:end] == "NIL" {
		return nil, s[end:]
	}
	return s[:end], s[end:]
}
