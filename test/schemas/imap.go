package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// client asks an IMAP server for a few things, in a form that every version answers
// alike.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(addr, user, password string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn, bufio.NewReader(conn)}
	err = conn.SetDeadline(time.Now().Add(time.Minute))
	if err == nil {
		_, err = c.r.ReadString('\n')
	}
	if err == nil {
		_, err = c.ask("LOGIN %s %s", user, password)
	}
	if err != nil {
		_ = conn.Close()
	}
	return c, err
}

// ask sends a command, and returns the lines before its end, each literal replaced by
// its size and hash.
func (c *client) ask(format string, args ...any) (lines []string, err error) {
	command := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintf(c, "a %s\r\n", command); err != nil {
		return nil, err
	}
	begun := ""
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = begun + strings.TrimRight(line, "\r\n")
		begun = ""
		if at := strings.LastIndexByte(line, '{'); at >= 0 && strings.HasSuffix(line, "}") {
			size, err := strconv.Atoi(line[at+1 : len(line)-1])
			if err != nil {
				return nil, err
			}
			data := make([]byte, size)
			if _, err := io.ReadFull(c.r, data); err != nil {
				return nil, err
			}
			begun = fmt.Sprintf("%s%d %s", line[:at], size, hash(data))
			continue
		}
		if strings.HasPrefix(line, "a ") {
			if !strings.HasPrefix(line, "a OK") {
				err = fmt.Errorf("%s: %s", command, line)
			}
			return lines, err
		}
		lines = append(lines, line)
	}
}

var (
	listed  = regexp.MustCompile(`^\* (?:LIST|LSUB) \(.*\) "/" "?(.*?)"?$`)
	status  = regexp.MustCompile(`UID(?:NEXT|VALIDITY) \d+`)
	fetched = []*regexp.Regexp{
		regexp.MustCompile(`\bUID \d+`), regexp.MustCompile(`FLAGS \(.*?\)`), regexp.MustCompile(`INTERNALDATE ".*?"`), regexp.MustCompile(`BODY\[\] .*[^)]`),
	}
)

func (c *client) names(command string) ([]string, error) {
	lines, err := c.ask(`%s "" "*"`, command)
	var names []string
	for _, line := range lines {
		if m := listed.FindStringSubmatch(line); m != nil {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names, err
}

func (c *client) shown() ([]string, error) {
	subscribed, err := c.names("LSUB")
	if err != nil {
		return nil, err
	}
	out := []string{fmt.Sprintf("subscribed to %q", subscribed)}
	names, err := c.names("LIST")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		lines, err := c.ask(`STATUS "%s" (UIDNEXT UIDVALIDITY)`, name)
		if err != nil {
			return nil, err
		}
		values := status.FindAllString(lines[0], -1)
		slices.Sort(values)
		out = append(out, fmt.Sprintf("%q %s", name, strings.Join(values, " ")))
		messages, err := c.messages(name)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			out = append(out, fmt.Sprintf("%q %s", name, m))
		}
	}
	return out, nil
}

// messages shows the messages of a mailbox, and leaves \Recent as it is.
func (c *client) messages(mailbox string) (out []string, err error) {
	if _, err := c.ask(`EXAMINE "%s"`, mailbox); err != nil {
		return nil, err
	}
	lines, err := c.ask("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])")
	for _, line := range lines {
		if !strings.Contains(line, " FETCH (") {
			continue
		}
		var parts []string
		for _, part := range fetched {
			parts = append(parts, part.FindString(line))
		}
		flags := strings.Fields(strings.Trim(strings.TrimPrefix(parts[1], "FLAGS "), "()"))
		slices.Sort(flags)
		parts[1] = fmt.Sprint(slices.DeleteFunc(flags, func(f string) bool { return f == `\Recent` }))
		out = append(out, strings.Join(parts, " "))
	}
	return out, err
}
