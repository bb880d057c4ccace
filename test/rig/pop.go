package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"
)

// Retrieve reads every message of a mailbox by RETR, in the order of the
// listing, and leaves them there. It shares no code with the program under
// test: this is the other opinion about what the bytes are.
func Retrieve(addr, user string) ([][]byte, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	p := &popReader{Reader: bufio.NewReaderSize(conn, 1<<16), conn: conn}
	if _, err := p.reply(); err != nil {
		return nil, err
	}
	for _, cmd := range []string{"USER " + user, "PASS " + Password} {
		if _, err := p.command(cmd); err != nil {
			return nil, err
		}
	}
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
