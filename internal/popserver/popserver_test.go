package popserver

import (
	"context"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves s on a port of its own until the test ends.
func start(t *testing.T, s *Server) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestCutConnectionDeletesNothing(t *testing.T) {
	s := New(Options{User: "ann", Password: "pw"})
	s.Add(testkit.Message(1))
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); newSession(s, server).run(); _ = server.Close() }()
	c := textproto.NewConn(client)
	talk(t, c, `S: \+OK .*
C: USER ann
S: \+OK .*
C: PASS pw
S: \+OK 1 .*
C: DELE 1
S: \+OK .*
`)
	_ = c.Close()
	<-done
	if drop, ok := s.lock(); !ok || len(drop) != 1 {
		t.Errorf("%d messages, lock %v", len(drop), ok)
	}
}

// talk plays a transcript; S: lines are regular expressions.
func talk(t *testing.T, c *textproto.Conn, script string) {
	t.Helper()
	for step := range strings.Lines(script) {
		step = strings.TrimSuffix(step, "\n")
		if line, ok := strings.CutPrefix(step, "C: "); ok {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			continue
		}
		line, err := c.ReadLine()
		if err != nil || !regexp.MustCompile("^"+strings.TrimPrefix(step, "S: ")+"$").MatchString(line) {
			t.Fatalf("want %s, got %q, %v", step, line, err)
		}
	}
}

func TestTranscript(t *testing.T) {
	s := New(Options{User: "ann", Password: "p w"})
	s.Add([]byte("Subject: one\r\n\r\n.a\r\nb\r\nc"))
	s.Add([]byte("Subject: header only\r\n"))
	conn, err := net.Dial("tcp", start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	talk(t, textproto.NewConn(conn), `S: \+OK .*
C: STAT
S: -ERR .*
C: STLS
S: -ERR .*
C: PASS p w
S: -ERR .*
C: user ann
S: \+OK .*
C: PASS wrong
S: -ERR \[AUTH\] .*
C: AUTH CRAM-MD5
S: -ERR .*
C: AUTH PLAIN AGFubgB4
S: -ERR \[AUTH\] .*
C: AUTH PLAIN
S: \+ $
C: *
S: -ERR authentication cancelled
C: AUTH PLAIN AGFubgBwIHc=
S: \+OK 2 messages
C: STAT
S: \+OK 2 48
C: LIST
S: \+OK .*
S: 1 26
S: 2 22
S: \.
C: LIST 2
S: \+OK 2 22
C: LIST 3
S: -ERR .*
C: UIDL 1
S: \+OK 1 [0-9a-f]{32}
C: UIDL
S: \+OK .*
S: 1 [0-9a-f]{32}
S: 2 [0-9a-f]{32}
S: \.
C: TOP 1 1
S: \+OK .*
S: Subject: one
S: 
S: \.\.a
S: \.
C: TOP 1 0
S: \+OK .*
S: Subject: one
S: 
S: \.
C: TOP 2 100
S: \+OK .*
S: Subject: header only
S: \.
C: TOP 1
S: -ERR .*
C: TOP 7 1
S: -ERR .*
C: RETR 1
S: \+OK 26 octets
S: Subject: one
S: 
S: \.\.a
S: b
S: c
S: \.
C: RETR x
S: -ERR .*
C: DELE 1
S: \+OK .*
C: DELE 1
S: -ERR .*
C: RETR 1
S: -ERR .*
C: LIST
S: \+OK .*
S: 2 22
S: \.
C: RSET
S: \+OK .*
C: STAT
S: \+OK 2 48
C: NOOP
S: \+OK .*
C: WHAT
S: -ERR .*
C: CAPA
S: \+OK .*
S: TOP
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: EXPIRE NEVER
S: IMPLEMENTATION popbridge
S: \.
C: QUIT
S: \+OK .*
`)
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after QUIT: %d bytes, %v", n, err)
	}
}

func TestCommandsSentAlongWithSTLSAreNotRun(t *testing.T) {
	s := New(Options{User: "ann", Password: "pw", TLS: testkit.CA(t).ServerConfig})
	conn, err := net.Dial("tcp", start(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("STLS\r\nUSER ann\r\n")); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(conn)
	if got := strings.Count(string(all), "+OK"); got != 2 {
		t.Errorf("%q", all)
	}
}

// FuzzSession sends anything at all: the session ends with the connection, and
// messages go away only with QUIT.
func FuzzSession(f *testing.F) {
	const login = "USER ann\r\nPASS pw\r\n"
	for _, seed := range []string{"CAPA\r\nAUTH PLAIN\r\nAGFubgBwdw==\r\nUIDL\r\n", "AUTH PLAIN AGFubgBwdw==\nSTLS\r\n",
		login + "TOP 1 99999999999\r\nTOP 2 1\r\nRETR -1\r\nLIST 0x1\r\nDELE 2\r\nRSET\r\nDELE 1\r\nQUIT\r\n", login + "DELE 1\r\n", "\r\n \x00\r\nPASS\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		s := New(Options{User: "ann", Password: "pw"})
		s.Add([]byte("Subject: one\r\n\r\n.a\n.\r\nb"))
		s.Add(nil)
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); newSession(s, server).run(); _ = server.Close() }()
		go func() { _, _ = io.WriteString(client, sent); _ = client.Close() }()
		_, _ = io.Copy(io.Discard, client)
		<-done
		if n := s.Messages(); n < 2 && !strings.Contains(strings.ToUpper(sent), "QUIT") {
			t.Errorf("%d messages", n)
		}
		if _, ok := s.lock(); !ok {
			t.Error("the maildrop is locked")
		}
	})
}

func TestLockAndUpdate(t *testing.T) {
	s := New(Options{User: "ann", Password: "pw"})
	s.Add([]byte("one"))
	s.Add([]byte("two"))
	addr := start(t, s)
	var conns [2]*textproto.Conn
	for i := range conns {
		c, err := textproto.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	const login = "S: \\+OK .*\nC: USER ann\nS: \\+OK .*\nC: PASS pw\n"
	talk(t, conns[0], login+"S: \\+OK 2 .*\nC: DELE 1\nS: \\+OK .*\n")
	talk(t, conns[1], login+"S: -ERR \\[IN-USE\\] .*\n")
	s.Add([]byte("three")) // not for the session that is on
	talk(t, conns[0], "C: STAT\nS: \\+OK 1 5\nC: QUIT\nS: \\+OK .*\n")
	talk(t, conns[1], "C: USER ann\nS: \\+OK .*\nC: PASS pw\nS: \\+OK 2 .*\nC: RETR 2\nS: \\+OK 7 .*\nS: three\nS: \\.\n")
	if n := s.Messages(); n != 2 {
		t.Errorf("%d messages", n)
	}
}
