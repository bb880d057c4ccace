package pop3

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/popbridge/popbridge/internal/mailconn"
)

// fuzzConn answers each line it is sent with the next of its chunks, and ends
// when there is none left. It never waits.
type fuzzConn struct {
	chunks [][]byte
	in     []byte
	lines  int
}

func (f *fuzzConn) next() {
	if len(f.chunks) > 0 {
		f.in = append(f.in, f.chunks[0]...)
		f.chunks = f.chunks[1:]
	}
}

func (f *fuzzConn) Read(p []byte) (int, error) {
	if len(f.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.in)
	f.in = f.in[n:]
	return n, nil
}

func (f *fuzzConn) Write(p []byte) (int, error) {
	for range bytes.Count(p, []byte("\n")) {
		f.lines++
		f.next()
	}
	return len(p), nil
}

func (f *fuzzConn) Close() error                     { return nil }
func (f *fuzzConn) LocalAddr() net.Addr              { return nil }
func (f *fuzzConn) RemoteAddr() net.Addr             { return nil }
func (f *fuzzConn) SetDeadline(time.Time) error      { return nil }
func (f *fuzzConn) SetReadDeadline(time.Time) error  { return nil }
func (f *fuzzConn) SetWriteDeadline(time.Time) error { return nil }

// chunkEnd separates the chunks in a fuzz input.
const chunkEnd = "\x01"

func newFuzzConn(data string) *fuzzConn {
	f := &fuzzConn{}
	for chunk := range strings.SplitSeq(data, chunkEnd) {
		f.chunks = append(f.chunks, []byte(chunk))
	}
	f.next()
	return f
}

// clientOn is a client after the greeting, for which data is on the way.
func clientOn(data []byte) *Client { return clientFor(&fuzzConn{in: data}) }

func clientFor(conn *fuzzConn) *Client {
	c := newClient(Config{Host: "h", Security: Plain}.withDefaults(), mailconn.New(conn))
	c.greeted = true
	return c
}

// FuzzListing: every number is handed over once and is one, nothing is
// invented, warnings are bounded.
func FuzzListing(f *testing.F) {
	f.Add([]byte("+OK\r\n1 120\r\n2 200\r\n.\r\n"))
	f.Add([]byte("+OK\r\n1   a\r\n2\tb\n\r\n3\r\n3 c\r\n-1 x\r\n99999999999 y\r\n..4 z\r\n.\r\n"))
	f.Add([]byte("+OK\n5 5\n4 4\n1 1\n2 2\n3 3\n4 4\n.\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		seen := make(map[int]bool)
		check := func(num int) {
			if num < 1 || num > 1<<31-1 || seen[num] {
				t.Fatalf("number %d", num)
			}
			seen[num] = true
		}
		c := clientOn(data)
		lines := bytes.Count(data, []byte("\n"))
		warnings, _ := c.UIDL(t.Context(), func(num int, uidl string) {
			check(num)
			if len(uidl) > 0 && !bytes.Contains(data, []byte(uidl)) {
				t.Fatalf("id %q was not sent", uidl)
			}
		})
		if warnings > lines || len(seen) > lines || len(c.Warnings()) > maxWarnings {
			t.Fatalf("%d warnings and %d messages of %d lines", warnings, len(seen), lines)
		}
		seen = make(map[int]bool)
		_, _ = clientOn(data).List(t.Context(), func(num int, size int64) {
			check(num)
			if size < 0 {
				t.Fatalf("size %d", size)
			}
		})
	})
}

func FuzzCapa(f *testing.F) {
	f.Add([]byte("+OK\r\nUIDL\r\nSASL PLAIN LOGIN\r\nSASL XOAUTH2\r\nLOGIN-DELAY 900 USER\r\nEXPIRE NEVER\r\n.\r\n"))
	f.Add([]byte("+OK\r\nexpire 60 user\r\n\r\nPIPELINING\r\nLOGIN-DELAY -5\r\nEXPIRE 99999999999999\r\n.\r\n"))
	f.Add([]byte("-ERR what\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := clientOn(data)
		_ = c.capa()
		caps := c.Capabilities()
		days, known := caps.Expire()
		if caps.LoginDelay() < 0 || days < -1 || !known && days != 0 || len(caps.tags) > maxCapabilities {
			t.Fatalf("delay %v, expire %d %v, %d tags", caps.LoginDelay(), days, known, len(caps.tags))
		}
		if !caps.Known() && (caps.Pipelining() || caps.Has("UIDL") || caps.SASL("PLAIN")) {
			t.Fatal("capabilities of nowhere")
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("+OK\r\n"))
	f.Add([]byte("-ERR [IN-USE] locked\r\n"))
	f.Add([]byte("-ERR [SYS/TEMP/] x\n"))
	f.Add([]byte("hello\r\n+OK\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := clientOn(data)
		text, err := c.reply("NOOP")
		if err == nil && !bytes.Contains(data, []byte(text)) {
			t.Fatalf("text %q", text)
		}
		if isReply(err) != (err != nil && c.dead == nil) {
			t.Fatalf("%v, connection: %v", err, c.dead)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
			t.Fatalf("raw text of the server in %q", err)
		}
	})
}

// FuzzClient: whatever a server says, the client comes to an end, does not ask
// more than it has to, and takes nothing broken for a message.
func FuzzClient(f *testing.F) {
	f.Add("+OK\r\n\x01+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n\x01+OK\r\n\x01+OK\r\n\x01+OK\r\nPIPELINING\r\n.\r\n" +
		"\x01+OK 2 20\r\n\x01+OK\r\n1 10\r\n2 10\r\n.\r\n\x01+OK\r\n1 a\r\n2 b\r\n.\r\n" +
		"\x01+OK\r\nhello\r\n.\r\n\x01-ERR no\r\n\x01+OK\r\n\x01+OK\r\n\x01+OK bye\r\n")
	f.Add("+OK <1@h>\r\n\x01-ERR\r\n\x01+OK\r\n\x01+OK\r\n\x01-ERR\r\n\x01+OK 1 1\r\n\x01+OK\r\n.\r\n\x01-ERR\r\n\x01+OK\r\n\x01+OK\r\n")
	f.Add("+OK\r\n\x01+OK\r\nSASL SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\r\n.\r\n\x01+ \r\n\x01+ cj14LHM9QUFBQSxpPTQwOTY=\r\n\x01-ERR\r\n\x01+ eA==\r\n\x01-ERR bad mechanism\r\n\x01+\r\n\x01+OK\r\n")
	const listed = "+OK\r\n\x01-ERR\r\n\x01+OK\r\n\x01+OK\r\n\x01-ERR\r\n\x01+OK 1 4\r\n\x01+OK\r\n1 4\r\n.\r\n\x01+OK\r\n1 a\r\n.\r\n"
	for _, check := range []string{"+OK 1 a\r\n", "+OK 1 b\r\n", "+OK\r\n1 a\r\n.\r\n", "-ERR\r\n\x01+OK 1 4\r\n", "-ERR\r\n\x01+OK\r\n1 4\r\n.\r\n", "-ERR\r\n\x01-ERR\r\n"} {
		f.Add(listed + "\x01" + check + "\x01+OK\r\nhi\r\n.\r\n\x01" + check + "\x01+OK\r\n\x01+OK\r\n")
		f.Add(strings.ReplaceAll(listed+"\x01"+check+"\x01+OK\r\nhi\r\n.\r\n\x01"+check+"\x01+OK\r\n", "\r\n", "\n"))
	}
	transcripts, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range transcripts {
		f.Add(serverSide(f, file))
	}
	f.Fuzz(func(t *testing.T, data string) {
		conn := newFuzzConn(data)
		got := driveClient(t, conn)
		if got > len(data) {
			t.Fatalf("%d bytes of messages out of %d", got, len(data))
		}
		if most := 64 + 4*strings.Count(data, "\n"); conn.lines > most {
			t.Fatalf("%d lines sent to a server that sent %d", conn.lines, strings.Count(data, "\n"))
		}
	})
}

func driveClient(t *testing.T, conn *fuzzConn) (received int) {
	ctx := t.Context()
	c, err := Dial(ctx, Config{Host: "h", Security: Plain, MaxMessage: 1 << 16, Window: Window{Count: 4},
		Dialer: func(context.Context, string, string) (net.Conn, error) { return conn, nil }})
	if err != nil {
		return 0
	}
	defer c.Close()
	if c.Login(ctx, Credentials{Username: "ann", Secret: "pw"}) != nil {
		return 0
	}
	_, _, _ = c.Stat(ctx)
	var reqs []Request
	_, _ = c.List(ctx, func(num int, size int64) { reqs = append(reqs, Request{Num: num, Size: size}) })
	check := Check{First: true}
	_, _ = c.UIDL(ctx, func(num int, uidl string) {
		reqs = append(reqs, Request{Num: num})
		check.Num, check.UIDL, check.Size = num, uidl, 4
	})
	var stored []int
	ended := 0
	err = c.Retr(ctx, reqs, check, func(num int, r io.Reader) error {
		n, err := io.Copy(io.Discard, r)
		if err == nil {
			received += int(n)
			stored = append(stored, num)
		}
		ended++
		return err
	}, func(int, error) { ended++ })
	if err == nil && ended < len(reqs) {
		t.Fatalf("%d of %d messages accounted for", ended, len(reqs))
	}
	done, _ := c.Dele(ctx, stored, func(int, error) {})
	if len(done) > len(stored) {
		t.Fatal("deleted more than asked for")
	}
	_ = c.Quit(ctx)
	return received
}

// serverSide is what the server says in a transcript.
func serverSide(f *testing.F, file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	var out strings.Builder
	for _, section := range txtar.Parse(data).Files {
		if section.Name != "server" || len(section.Data) > 4096 {
			continue
		}
		for line := range strings.Lines(string(section.Data)) {
			switch {
			case strings.HasPrefix(line, "S:"):
				out.WriteString(strings.TrimPrefix(strings.TrimSuffix(line[2:], "\n"), " ") + "\r\n")
			case strings.HasPrefix(line, "C"):
				out.WriteString(chunkEnd)
			}
		}
	}
	return out.String()
}
