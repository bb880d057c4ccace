package rig

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

// Message is one message as an IMAP server shows it.
type Message struct {
	UID int
	Raw []byte
}

var (
	literal = regexp.MustCompile(`\{(\d+)\}\r\n$`)
	uid     = regexp.MustCompile(`UID (\d+)`)
)

// ReadMailbox reads a whole mailbox over plain IMAP, in the order in which the
// server shows it, and changes nothing.
func ReadMailbox(addr, user, password, mailbox string) ([]Message, error) {
	return IMAP(addr, user, password, "EXAMINE "+mailbox, "UID FETCH 1:* (UID BODY.PEEK[])")
}

// IMAP runs commands over plain IMAP, all of which must go through, and returns
// the messages in their answers. Like Retrieve it shares no code with the
// program under test.
func IMAP(addr, user, password string, commands ...string) ([]Message, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 1<<16)
	if _, err := r.ReadString('\n'); err != nil {
		return nil, err
	}
	var all []Message
	for _, line := range slices.Concat([]string{"LOGIN " + user + " " + password}, commands, []string{"LOGOUT"}) {
		if _, err := fmt.Fprintf(conn, "t %s\r\n", line); err != nil {
			return nil, err
		}
		found, err := readAnswer(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Fields(line)[0], err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// readAnswer reads up to the tagged line and returns the messages on the way.
func readAnswer(r *bufio.Reader) (found []Message, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size := literal.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "t OK"):
			return found, nil
		case strings.HasPrefix(line, "t "):
			return nil, fmt.Errorf("server answered %q", line)
		case size == nil:
			continue
		}
		n, err := strconv.Atoi(size[1])
		if err != nil {
			return nil, err
		}
		m := Message{Raw: make([]byte, n)}
		if _, err := io.ReadFull(r, m.Raw); err != nil {
			return nil, err
		}
		rest, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if id := uid.FindStringSubmatch(line + rest); id != nil {
			m.UID, err = strconv.Atoi(id[1])
		}
		if m.UID == 0 || err != nil {
			return nil, fmt.Errorf("no UID in %q%q", line, rest)
		}
		found = append(found, m)
	}
}
