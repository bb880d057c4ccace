package pop3_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/popserver"
	"github.com/popbridge/popbridge/internal/testkit"
)

// start serves s on a port of its own until the test ends.
func start(t *testing.T, s *popserver.Server, wrap func(net.Listener) net.Listener) (port int) {
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
	err := c.Retr(t.Context(), reqs, pop3.Check{}, func(num int, r io.Reader) error {
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
		opts popserver.Options
		wrap func(net.Listener) net.Listener
		cfg  pop3.Config
	}{
		"plain":         {popserver.Options{}, nil, pop3.Config{Security: pop3.Plain}},
		"not pipelined": {popserver.Options{}, nil, pop3.Config{Security: pop3.Plain, NoPipelining: true}},
		"stls":          {popserver.Options{TLS: ca.ServerConfig}, nil, pop3.Config{Security: pop3.StartTLS, TLS: client}},
		"implicit":      {popserver.Options{}, implicit, pop3.Config{Security: pop3.Implicit, TLS: client}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opts.User, tt.opts.Password = "ann", "pw"
			s := popserver.New(tt.opts)
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
	s := popserver.New(popserver.Options{User: "ann", Password: "pw"})
	for i := range 5 {
		s.Add(testkit.Message(i))
	}
	cfg := pop3.Config{Port: start(t, s, nil), Security: pop3.Plain}
	c := login(t, cfg)
	_, before := fetch(t, c)
	if done, err := c.Dele(t.Context(), []int{1, 3, 9}, func(int, error) {}); len(done) != 2 || err != nil {
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

func TestOneSessionAtATime(t *testing.T) {
	s := popserver.New(popserver.Options{User: "ann", Password: "pw"})
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
