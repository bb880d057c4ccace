package smtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/popbridge/popbridge/internal/mailconn"
)

// fuzzConn answers each packet it is sent with the next of its chunks, and ends when
// there is none left. It never waits: nothing to read is a deadline that has passed.
type fuzzConn struct {
	chunks  [][]byte
	in      []byte
	packets int
	sent    bytes.Buffer
	onDot   func() // called when the final dot is written
	read    []byte // what was read since then
}

func (f *fuzzConn) next() {
	if len(f.chunks) > 0 {
		f.in = append(f.in, f.chunks[0]...)
		f.chunks = f.chunks[1:]
	}
}

func (f *fuzzConn) Read(p []byte) (int, error) {
	switch {
	case len(f.in) == 0 && len(f.chunks) == 0:
		return 0, io.EOF
	case len(f.in) == 0:
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, f.in)
	f.read = append(f.read, f.in[:n]...)
	f.in = f.in[n:]
	return n, nil
}

func (f *fuzzConn) Write(p []byte) (int, error) {
	f.packets++
	f.sent.Write(p)
	if string(p) == ".\r\n" && f.onDot != nil {
		f.onDot()
		f.read = nil
	}
	f.next()
	return len(p), nil
}

func (f *fuzzConn) Close() error                     { return nil }
func (f *fuzzConn) LocalAddr() net.Addr              { return nil }
func (f *fuzzConn) RemoteAddr() net.Addr             { return nil }
func (f *fuzzConn) SetDeadline(time.Time) error      { return nil }
func (f *fuzzConn) SetReadDeadline(time.Time) error  { return nil }
func (f *fuzzConn) SetWriteDeadline(time.Time) error { return nil }

// clientOn is a client behind its greeting, for which data is on the way.
func clientOn(data string) *Client {
	return newClient(Config{Host: "h", Security: Plain}.withDefaults(), mailconn.New(&fuzzConn{in: []byte(data)}))
}

// FuzzReply: a reply is what the server said, whole, and safe to show.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{"250 ok\r\n", "250-2.1.0 a\r\n250 2.1.0 b\r\n", "550-5.1.1 a\n550 x\n", "250", "250-a\r\n251 b\r\n", "999 x\r\n", "421 \x1b\x00\r\n", "250 " + strings.Repeat("x", 600) + "\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		c := clientOn(data)
		r, lines, err := c.receive(time.Minute)
		if err != nil {
			if r != (Reply{}) || lines != nil || strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		if whole := replyIn(data); whole != r.Code || whole == 0 {
			t.Fatalf("%+v of %q", r, data)
		}
		if len(r.Text) > MaxText || !utf8.ValidString(r.Text) || strings.ContainsFunc(r.Text+r.Enhanced, unicode.IsControl) {
			t.Fatalf("text %q", r.Text)
		}
		if len(lines) > maxReplyLines || r.Enhanced != "" && !strings.Contains(data, r.Enhanced) {
			t.Fatalf("%+v", r)
		}
	})
}

var replyLine = regexp.MustCompile(`^([2-5][0-9][0-9])(?:([ -])[^\n]*)?\r*\n`)

// replyIn is the code of the complete reply that data begins with, or 0: another
// parser than the client's.
func replyIn(data string) int {
	code := ""
	for {
		m := replyLine.FindStringSubmatch(data)
		if m == nil || code != "" && m[1] != code {
			return 0
		}
		code, data = m[1], data[len(m[0]):]
		if m[2] != "-" {
			return int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
		}
	}
}

// FuzzSession: whatever a server says, the client comes to an end, does not ask more
// than it has to, and says that a message was taken only where the server has said so
// as a whole and behind the final dot.
func FuzzSession(f *testing.F) {
	const end = "\x01"
	hello := "220 ok\r\n" + end + "250-h\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n" + end + "334 \r\n" + end + "235 ok\r\n" + end
	envelope := hello + "250 ok\r\n250 ok\r\n550 no\r\n" + end
	for _, seed := range []string{
		hello, envelope, serverSide(whole()), serverSide(whole("PIPELINING", "SIZE 5", "8BITMIME")),
		envelope + "354 go\r\n" + end + end + "250 queued\r\n" + end + "221 bye\r\n",
		envelope + "354 go\r\n" + end + end + "250-queued\r\n250 que" + end,
		envelope + "354 go\r\n250 queued\r\n" + end + end + end,
		envelope + "354 go\r\n" + end + "250 queued\r\n" + end + end,
		envelope + "354 go\r\n" + end + end + "354 again\r\n" + end,
		envelope + "354 go\r\n" + end + end + "421 bye\r\n" + end,
		"220 ok\r\n" + end + "250-h\r\n250 AUTH SCRAM-SHA-256 CRAM-MD5 LOGIN\r\n" + end + "334\r\n" + end + "334 cj14LHM9QUFBQSxpPTQwOTY=\r\n" + end + "501\r\n" + end + "334 x\r\n" + end + "504\r\n" + end,
		"220 ok\r\n" + end + "550 no\r\n" + end + "502 no\r\n" + end + "250 ok\r\n" + end,
	} {
		f.Add(seed, false)
		f.Add(strings.ReplaceAll(seed, "\r", ""), true)
	}
	f.Fuzz(func(t *testing.T, data string, login bool) {
		conn := &fuzzConn{}
		for chunk := range strings.SplitSeq(data, end) {
			conn.chunks = append(conn.chunks, []byte(chunk))
		}
		conn.next()
		out, err := driveClient(t, conn, login)
		dot := strings.Contains(conn.sent.String(), "\r\n.\r\n")
		if dot != (out.Phase >= AfterDot) || (out.Phase == Answered) != (out.Final.Code != 0) {
			t.Fatalf("%+v, %v: sent %q", out, err, conn.sent.String())
		}
		if out.Phase == Answered && replyIn(string(conn.read)) != out.Final.Code {
			t.Fatalf("%+v, behind the dot came %q", out, conn.read)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x00\x1b") {
			t.Fatalf("raw text of the server in %q", err)
		}
		if conn.packets > 64 {
			t.Fatalf("%d packets sent", conn.packets)
		}
	})
}

func driveClient(t *testing.T, conn *fuzzConn, login bool) (out Outcome, err error) {
	c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: func(context.Context, string, string) (net.Conn, error) { return conn, nil }})
	if err != nil {
		return out, err
	}
	defer c.Close()
	conn.onDot = func() {
		if n := c.wire.R.Buffered() + len(conn.in); n > 0 {
			t.Fatalf("%d bytes were there before the final dot", n)
		}
	}
	if login {
		if err := c.Login(t.Context(), credentials); err != nil {
			return out, err
		}
	}
	out, err = c.Send(t.Context(), Envelope{From: ann, To: []string{bob, cat}, Size: 14}, strings.NewReader(bodyOf), always)
	conn.onDot = nil
	if err == nil {
		read := conn.read
		_ = c.Quit(t.Context())
		conn.read = read
	}
	return out, err
}

// serverSide is what the server says in a script.
func serverSide(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		switch text, said := strings.CutPrefix(line, "S: "); {
		case said:
			out.WriteString(strings.TrimSuffix(text, "\n") + "\r\n")
		case strings.HasPrefix(line, "C"):
			out.WriteString("\x01")
		}
	}
	return out.String()
}

// FuzzContent: what goes over the wire is the message, and cannot be taken for its
// end, nor for two lines where it has one.
func FuzzContent(f *testing.F) {
	for _, seed := range []string{"", "a", "a\r\n", ".", ".\r\n", "a\r\n.\r\nb", "a\n.\nb", "a\r.\r\n", "\r", "\n", "\r\n\r\n..\r\n", "a\xff\r\n"} {
		f.Add([]byte(seed), uint8(3), true)
	}
	f.Fuzz(func(t *testing.T, message []byte, cut uint8, eightBit bool) {
		conn := &fuzzConn{}
		c := newClient(Config{Host: "h"}.withDefaults(), mailconn.New(conn))
		n, err := c.content(io.MultiReader(bytes.NewReader(message[:min(len(message), int(cut))]), bytes.NewReader(message[min(len(message), int(cut)):])), eightBit)
		wire := conn.sent.String()
		bare := bytes.ContainsAny(bytes.ReplaceAll(message, []byte("\r\n"), nil), "\r\n")
		high := strings.ContainsFunc(string(message), func(r rune) bool { return r > 127 })
		if (err != nil) != (bare || high && !eightBit) {
			t.Fatalf("%q: %v", message, err)
		}
		if strings.HasPrefix(wire, ".\r\n") || strings.Contains(wire, "\r\n.\r\n") {
			t.Fatalf("%q ends in %q", message, wire)
		}
		if err != nil {
			return
		}
		want := string(message)
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		var got strings.Builder
		for line := range strings.Lines(wire) {
			got.WriteString(strings.TrimPrefix(line, "."))
		}
		if got.String() != want || n != int64(len(message)) {
			t.Fatalf("%q became %q", message, wire)
		}
	})
}
