package popserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves s on a port of its own until the test ends.
func start(t *testing.T, s *Server, wrap func(net.Listener) net.Listener) (port int) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = ln.Addr().(*net.TCPAddr).Port
	if wrap != nil {
		ln = wrap(ln)
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
	return port
}

func login(t *testing.T, cfg pop3.Config) *pop3.Client {
	t.Helper()
	cfg.Host = "127.0.0.1"
	c, err := pop3.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(t.Context(), pop3.Credentials{Username: "ann", Secret: "pw"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// fetch returns all messages by UIDL.
func fetch(t *testing.T, c *pop3.Client) (byUIDL map[string][]byte, uidls map[int]string) {
	t.Helper()
	var reqs []pop3.Request
	if _, err := c.List(t.Context(), func(num int, size int64) { reqs = append(reqs, pop3.Request{Num: num, Size: size}) }); err != nil {
		t.Fatal(err)
	}
	byUIDL, uidls = make(map[string][]byte), make(map[int]string)
	if _, err := c.UIDL(t.Context(), func(num int, uidl string) { uidls[num] = uidl }); err != nil {
		t.Fatal(err)
	}
	err := c.Retr(t.Context(), reqs, func(num int, r io.Reader) error {
		b, err := io.ReadAll(r)
		if int64(len(b)) != reqs[num-1].Size {
			t.Errorf("message %d has %d bytes, listed were %d", num, len(b), reqs[num-1].Size)
		}
		byUIDL[uidls[num]] = b
		return err
	}, func(num int, err error) { t.Errorf("message %d: %v", num, err) })
	if err != nil {
		t.Fatal(err)
	}
	return byUIDL, uidls
}

func TestClientGetsEveryByte(t *testing.T) {
	ca := testkit.CA(t)
	client := &tls.Config{RootCAs: ca.CertPool}
	implicit := func(ln net.Listener) net.Listener { return tls.NewListener(ln, ca.ServerConfig) }
	for name, tt := range map[string]struct {
		opts Options
		wrap func(net.Listener) net.Listener
		cfg  pop3.Config
	}{
		"plain":         {Options{}, nil, pop3.Config{Security: pop3.Plain}},
		"not pipelined": {Options{}, nil, pop3.Config{Security: pop3.Plain, NoPipelining: true}},
		"stls":          {Options{TLS: ca.ServerConfig}, nil, pop3.Config{Security: pop3.StartTLS, TLS: client}},
		"implicit":      {Options{}, implicit, pop3.Config{Security: pop3.Implicit, TLS: client}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opts.User, tt.opts.Password = "ann", "pw"
			s := New(tt.opts)
			want := make(map[string][]byte)
			for i := range 300 {
				message := testkit.Message(i % 100) // three times the same: three unique ids
				want[s.Add(message)] = message
			}
			odd := []byte("..\r\n.\r\n\n.\n\r.\r\n\x00\xff\r\n.\r\n")
			want[s.Add(odd)] = odd
			tt.cfg.Port = start(t, s, tt.wrap)
			c := login(t, tt.cfg)
			got, _ := fetch(t, c)
			if len(got) != 301 || len(want) != 301 {
				t.Errorf("%d of %d messages", len(got), len(want))
			}
			for uidl, message := range want {
				if !bytes.Equal(got[uidl], message) {
					t.Errorf("%s: got %q, want %q", uidl, got[uidl], message)
				}
			}
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDeletionsHappenAtQuitOnly(t *testing.T) {
	s := New(Options{User: "ann", Password: "pw"})
	for i := range 5 {
		s.Add(testkit.Message(i))
	}
	cfg := pop3.Config{Port: start(t, s, nil), Security: pop3.Plain}
	c := login(t, cfg)
	_, before := fetch(t, c)
	if done, err := c.Dele(t.Context(), []int{1, 3, 9}); len(done) != 2 || err != nil {
		t.Errorf("deleted %v, %v", done, err)
	}
	late := s.Add(testkit.Message(7)) // not for this session
	if n, _, err := c.Stat(t.Context()); n != 3 || err != nil || s.Messages() != 6 {
		t.Errorf("%d messages for the session, %d in all, %v", n, s.Messages(), err)
	}
	if err := c.Quit(t.Context()); err != nil || s.Messages() != 4 {
		t.Errorf("%d messages, %v", s.Messages(), err)
	}
	_, after := fetch(t, login(t, cfg))
	if len(after) != 4 || after[1] != before[2] || after[2] != before[4] || after[3] != before[5] || after[4] != late {
		t.Errorf("%v, before it was %v", after, before)
	}
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

func TestOneSessionAtATime(t *testing.T) {
	s := New(Options{User: "ann", Password: "pw"})
	cfg := pop3.Config{Host: "127.0.0.1", Port: start(t, s, nil), Security: pop3.Plain}
	first := login(t, cfg)
	second, err := pop3.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	cred := pop3.Credentials{Username: "ann", Secret: "pw"}
	if err := second.Login(t.Context(), cred); !errors.Is(err, pop3.ErrInUse) {
		t.Error(err)
	}
	if err := first.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Login(t.Context(), cred); err != nil {
		t.Error(err)
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
	port := start(t, s, nil)
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
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
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(start(t, s, nil))))
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
