package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Retrieve reads every message of a mailbox by RETR, in the order of the
// listing, and leaves them there. It shares no code with the program under
// test: this is the other opinion about what the bytes are.
func Retrieve(addr, user string) ([][]byte, error) {
	p, err := login(addr, user)
	if err != nil {
		return nil, err
	}
	defer p.conn.Close()
	stat, err := p.command("STAT")
	if err != nil {
		return nil, err
	}
	var count int
	if _, err := fmt.Sscanf(stat, "+OK %d", &count); err != nil {
		return nil, fmt.Errorf("STAT answered %q: %w", stat, err)
	}
	messages := make([][]byte, count)
	for i := range messages {
		if _, err := p.command(fmt.Sprintf("RETR %d", i+1)); err != nil {
			return nil, err
		}
		if messages[i], err = p.multiline(); err != nil {
			return nil, err
		}
	}
	_, err = p.command("QUIT")
	return messages, err
}

// UIDLs asks for the ids of a mailbox, in the order of the listing.
func UIDLs(addr, user string) ([]string, error) {
	p, err := login(addr, user)
	if err != nil {
		return nil, err
	}
	defer p.conn.Close()
	if _, err := p.command("UIDL"); err != nil {
		return nil, err
	}
	listing, err := p.multiline()
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(string(listing)) {
		_, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		ids = append(ids, id)
	}
	_, err = p.command("QUIT")
	return ids, err
}

func login(addr, user string) (*popReader, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	p := &popReader{Reader: bufio.NewReaderSize(conn, 1<<16), conn: conn}
	if err := errors.Join(conn.SetDeadline(time.Now().Add(2*time.Minute)), p.login(user)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *popReader) login(user string) error {
	if _, err := p.reply(); err != nil {
		return err
	}
	for _, cmd := range []string{"USER " + user, "PASS " + Password} {
		if _, err := p.command(cmd); err != nil {
			return err
		}
	}
	return nil
}

type popReader struct {
	*bufio.Reader
	conn net.Conn
}

func (p *popReader) command(line string) (string, error) {
	if _, err := fmt.Fprintf(p.conn, "%s\r\n", line); err != nil {
		return "", err
	}
	return p.reply()
}

func (p *popReader) reply() (string, error) {
	line, err := p.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "+OK") {
		return "", fmt.Errorf("server answered %q", line)
	}
	return line, nil
}

// multiline reads up to the line that is a dot alone and takes one dot off
// every line that starts with one (RFC 1939 section 3).
func (p *popReader) multiline() ([]byte, error) {
	var body bytes.Buffer
	for {
		line, err := p.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return body.Bytes(), nil
		}
		body.Write(bytes.TrimPrefix(line, []byte(".")))
	}
}
