package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
)

// endless is a server that never comes to an end.
type endless struct {
	net.Conn // of a fuzzConn
	rest     bytes.Buffer
	line     func(n int) string
	n        int
}

func newEndless(line func(n int) string) *Client {
	conn := &endless{Conn: &fuzzConn{}, line: line}
	conn.rest.WriteString("+OK\r\n")
	c := newClient(Config{Host: "h", Security: Plain}.withDefaults(), mailconn.New(conn))
	c.greeted = true
	return c
}

func (e *endless) Read(p []byte) (int, error) {
	for e.rest.Len() < len(p) {
		e.n++
		e.rest.WriteString(e.line(e.n))
	}
	return e.rest.Read(p)
}

func TestEndlessCapa(t *testing.T) {
	for name, line := range map[string]string{"one tag": "SASL PLAIN X\r\n", "no line end": strings.Repeat("x", 4096)} {
		c := newEndless(func(int) string { return line })
		if err := c.capa(); !fault.Is(err, fault.Protocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndlessListing(t *testing.T) {
	c := newEndless(func(n int) string { return fmt.Sprintf("%d id\r\n", n) })
	if _, err := c.command("UIDL"); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := c.multiline(1<<20, func([]byte, bool) { n++ })
	if !fault.Is(err, fault.Protocol) || n < 1000 || n > 1<<20/4 {
		t.Errorf("%d lines, %v", n, err)
	}
	if c.dead == nil {
		t.Error("the connection goes on")
	}
}

// A limit ends with the answer it is for.
func TestLimitIsOfOneAnswer(t *testing.T) {
	c := clientOn([]byte("1\r\n.\r\n+OK\r\n" + strings.Repeat("2\r\n", 1000) + ".\r\n"))
	if err := c.multiline(10, func([]byte, bool) {}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.List(t.Context(), func(int, int64) {}); n != 1000 || err != nil {
		t.Errorf("%d warnings, %v", n, err)
	}
}

func TestHugeMailbox(t *testing.T) {
	var wire bytes.Buffer
	wire.WriteString("+OK\r\n")
	for n := range maxListed + 3 {
		fmt.Fprintf(&wire, "%d 9\r\n", n+1)
	}
	wire.WriteString(".\r\n")
	n := 0
	warnings, err := clientOn(wire.Bytes()).List(t.Context(), func(int, int64) { n++ })
	if n != maxListed || warnings != 3 || err != nil {
		t.Errorf("%d messages, %d warnings, %v", n, warnings, err)
	}
}

func TestHugeID(t *testing.T) {
	long := strings.Repeat("x", maxUIDL)
	c := clientOn([]byte("+OK\r\n1 " + long + "\r\n2 " + long + "x\r\n.\r\n"))
	var ids []string
	warnings, err := c.UIDL(t.Context(), func(_ int, uidl string) { ids = append(ids, uidl) })
	if len(ids) != 2 || ids[0] != long || ids[1] != "" || warnings != 1 || err != nil {
		t.Errorf("%d warnings, %v", warnings, err)
	}
}

// TestHugeIDsInAll: ids that are too long in all are an error, not a mailbox of
// which a part is gone. As many messages as there may be, with ids as long as RFC
// 1939 has them, go through.
func TestHugeIDsInAll(t *testing.T) {
	listing := func(n, length int) *Client {
		var wire bytes.Buffer
		wire.WriteString("+OK\r\n")
		pad := strings.Repeat("x", length-8)
		for i := range n {
			fmt.Fprintf(&wire, "%d %08d%s\r\n", i+1, i, pad)
		}
		wire.WriteString(".\r\n+OK\r\n")
		return clientOn(wire.Bytes())
	}
	kept := 0
	c := listing(maxIDs/500+10, 500)
	_, err := c.UIDL(t.Context(), func(_ int, uidl string) { kept += len(uidl) })
	if !fault.Is(err, fault.Protocol) || errors.Is(err, ErrNoUIDL) || fault.Hint(err) == "" || kept > maxIDs {
		t.Errorf("%d MB of ids, %v", kept>>20, err)
	}
	if c.dead != nil {
		t.Errorf("the connection has ended: %v", c.dead)
	}
	n := 0
	if warnings, err := listing(maxListed, 70).UIDL(t.Context(), func(int, string) { n++ }); n != maxListed || warnings != 0 || err != nil {
		t.Errorf("%d ids of 70 octets, %d warnings, %v", n, warnings, err)
	}
}
