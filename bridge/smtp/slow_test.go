package smtp

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// lines is text without end.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	n := len(p) / 2 * 2
	for i := 0; i < n; i += 2 {
		p[i], p[i+1] = '\r', '\n'
	}
	return n, nil
}

// throttled is a client of a server that takes a line of a message in no time, but
// every 32 KiB only after a minute; once slow is closed it takes none any more.
func throttled(t *testing.T) (c *Client, slow chan struct{}) {
	client, server := net.Pipe()
	slow = make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		serveSlowly(server, slow)
	}()
	c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); <-done })
	return c, slow
}

func serveSlowly(conn net.Conn, slow chan struct{}) {
	r := bufio.NewReaderSize(conn, 32<<10)
	say := func(s string) { _, _ = conn.Write([]byte(s + "\r\n")) }
	say("220 ok")
	content, n := false, 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		n += len(line)
		switch line = strings.TrimSpace(line); {
		case content && line == ".":
			content = false
			say("250 ok")
		case content && n > 32<<10:
			n = 0
			select {
			case <-slow:
				time.Sleep(time.Hour)
			case <-time.After(time.Minute):
			}
		case content:
		case line == "DATA":
			content = true
			say("354 ok")
		default:
			say("250 ok")
		}
	}
}
