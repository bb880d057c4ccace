package submission

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	goleak.VerifyTestMain(m)
}

// taken is a submission with its bytes.
type taken struct {
	Submission
	raw string
}

// server is a Server that notes what is submitted. What is spooled goes to a real store.
type server struct {
	t      testing.TB
	store  *mailstore.Store
	server *Server
	addr   string
	stop   func()

	mu     sync.Mutex
	taken  []taken
	submit func(ctx context.Context, s Submission) error // after it was noted; may be nil
	routes map[string]Route
}

func openRig(t testing.TB, change ...func(*server, *Options)) *server {
	t.Helper()
	store, err := mailstore.Open(t.Context(), t.TempDir(), mailstore.Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &server{t: t, store: store, routes: map[string]Route{
		"ann@example.com":  {Account: "home", From: "ann@example.com", MaxSize: 100_000},
		"ann@work.example": {Account: "work", From: "a.smith@work.example", UTF8: true, Delay: time.Hour},
	}}
	o := Options{Login: r.login, Security: serving.Off, Log: zerolog.Nop(), MaxSize: func() int64 { return 1_000_000 }}
	for _, f := range change {
		f(r, &o)
	}
	r.server = New(o)
	return r
}

// newRig returns a rig that serves on a real port.
func newRig(t testing.TB, change ...func(*server, *Options)) *server {
	t.Helper()
	r := openRig(t, change...)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	r.addr = ln.Addr().String()
	r.stop = r.serve(ln)
	t.Cleanup(r.stop)
	return r
}

func (r *server) serve(ln net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, ln) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
}

// login knows ann, whose password is pw, and pw-read for a device that may not send.
func (r *server) login(_ context.Context, _ net.Addr, user, password string) (Account, error) {
	a := Account{User: "ann", Device: "laptop", Route: r.route, Spool: r.store.Spool, Submit: r.note}
	switch {
	case user == "ann" && password == "pw":
		return a, nil
	case user == "ann" && password == "pw-read":
		a.Device, a.MaySend = "tablet", fault.New(fault.Denied, "device tablet may not send", "`popbridge device set tablet --send` allows it")
		return a, nil
	case user == "any":
		a.Device = password
		return a, nil
	case user == "busy", user == "" && password == "":
		return Account{}, fault.New(fault.Temporary, "the mail store is being opened", "try again")
	case user == "broken":
		return Account{}, io.ErrUnexpectedEOF
	}
	return Account{}, fault.New(fault.Auth, "user name or password refused", "")
}

func (r *server) route(from string) (Route, error) {
	if route, found := r.routes[strings.ToLower(from)]; found {
		return route, nil
	}
	return Route{}, fault.New(fault.Denied, fmt.Sprintf("mail from %s cannot be sent, only from ann@example.com or ann@work.example", fault.Quote(from)), "")
}

func (r *server) note(ctx context.Context, s Submission) error {
	raw, err := io.ReadAll(io.NewSectionReader(s.Message, 0, s.Message.Size()))
	if err != nil {
		return err
	}
	r.mu.Lock()
	submit := r.submit
	r.mu.Unlock()
	if submit != nil {
		if err := submit(ctx, s); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, taken{s, string(raw)})
	return nil
}

// messages returns what was submitted.
func (r *server) messages() []taken {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// last returns what was submitted last, where there are n.
func (r *server) last(n int) taken {
	r.t.Helper()
	m := r.messages()
	if len(m) != n {
		r.t.Fatalf("%d messages were submitted, want %d", len(m), n)
	}
	return m[n-1]
}

// talk is a client.
type talk struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

const broken = "connection: "

// talk connects a client and reads the greeting; with a name it says EHLO and logs in.
func (r *server) talk(user string) *talk {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatalf("dial: %v", err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	k := &talk{t: r.t, conn: c, r: bufio.NewReader(c)}
	k.want("220 ")
	if user != "" {
		k.do("EHLO x", "250 ")
		k.do("AUTH PLAIN "+plain(user, "pw"), "235 2.7.0")
	}
	return k
}

func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

func (k *talk) send(text string) {
	k.t.Helper()
	if _, err := io.WriteString(k.conn, text+"\r\n"); err != nil {
		k.t.Fatalf("send: %v", err)
	}
}

// line returns the next reply, its last line where it has several.
func (k *talk) line() string {
	for {
		s, err := k.r.ReadString('\n')
		if err != nil {
			return broken + err.Error()
		}
		if len(s) < 4 || s[3] != '-' {
			return strings.TrimSuffix(s, "\r\n")
		}
	}
}

func (k *talk) want(prefix string) string {
	k.t.Helper()
	got := k.line()
	if !strings.HasPrefix(got, prefix) {
		k.t.Fatalf("got %q, want %q", got, prefix)
	}
	return got
}

func (k *talk) do(send, want string) string {
	k.t.Helper()
	k.send(send)
	got := k.line()
	if !strings.HasPrefix(got, want) {
		k.t.Fatalf("%.100q is answered %q, want %q", send, got, want)
	}
	return got
}

// closed checks that the server has closed the connection.
func (k *talk) closed() {
	k.t.Helper()
	if got := k.line(); got != broken+"EOF" && !strings.Contains(got, "reset") {
		k.t.Errorf("the connection goes on with %q", got)
	}
}

// begin begins a message up to its DATA.
func (k *talk) begin(to ...string) {
	k.t.Helper()
	k.do("MAIL FROM:<ann@example.com>", "250 2.1.0")
	for _, a := range to {
		k.do("RCPT TO:<"+a+">", "250 2.1.5")
	}
	k.do("DATA", "354 ")
}

func (k *talk) secure(config *tls.Config) {
	config = config.Clone()
	config.ServerName = "localhost"
	k.conn = tls.Client(k.conn, config)
	k.r = bufio.NewReader(k.conn)
}

// headed is a message that needs no more fields.
const headed = "From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\nMessage-ID: <1@example.com>\r\nSubject: x\r\n"
