package submission

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// TestBeforeTLS: no one logs in and no one sends before TLS, and a password that comes
// in the clear is not even looked at.
func TestBeforeTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(r *server, o *Options) {
		o.Security, o.TLS = StartTLS, ca.ServerConfig
		o.Login = func(ctx context.Context, from net.Addr, name, password string) (Account, error) {
			if password != "pw" {
				t.Errorf("the password %q was checked", password)
			}
			return r.login(ctx, from, name, password)
		}
	})
	k := r.talk("")
	dialogue(t, k, [][2]string{
		{"EHLO x", "250 STARTTLS"},
		{"AUTH PLAIN " + plain("ann", "overheard"), "538 5.7.11 "},
		{"AUTH LOGIN", "538 5.7.11 "},
		{"AUTH", "538 5.7.11 "},
		{"MAIL FROM:<ann@example.com>", "530 5.7.0 TLS is required, send STARTTLS first"},
		{"RCPT TO:<bob@example.net>", "530 5.7.0 TLS"},
		{"DATA", "530 5.7.0 TLS"},
		{"VRFY x", "530 5.7.0 TLS"},
		{"STARTTLS now", "501 5.5.4 "},
		{"STARTTLS", "220 2.0.0 "},
	})
	k.secure(&tls.Config{RootCAs: ca.CertPool})
	dialogue(t, k, [][2]string{
		{"AUTH PLAIN " + plain("ann", "pw"), "235 "},
		{"MAIL FROM:<ann@example.com>", "503 5.5.1 Send EHLO first"}, // RFC 3207 section 4.2
		{"EHLO x", "250 SIZE 1000000"},
		{"STARTTLS", "503 5.5.1 "},
		{"MAIL FROM:<ann@example.com>", "250 "},
		{"RCPT TO:<bob@example.net>", "250 "},
		{"DATA", "354 "},
		{headed + "\r\nx\r\n.", "250 "},
		{"QUIT", "221 "},
	})
	k.closed()
	r.last(1)
}

// TestNothingGoesOnAfterSTARTTLS: what someone on the network has put behind
// STARTTLS must not count as said under TLS.
func TestNothingGoesOnAfterSTARTTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = StartTLS, ca.ServerConfig })
	for _, behind := range []string{"RSET", "EHLO mallory\r\nMAIL FROM:<mallory@example.net>", "x"} {
		k := r.talk("")
		k.do("EHLO x\r\nSTARTTLS\r\n"+behind, "250 ")
		k.want("554 5.5.1 Nothing may follow STARTTLS")
		k.closed()
	}
	// What comes a little later ends the handshake.
	k := r.talk("")
	k.do("STARTTLS", "220 ")
	k.send("EHLO mallory")
	if got, err := io.ReadAll(k.r); bytes.Contains(got, []byte("250")) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestTheWrongProtection ends the connection at once and is logged with what to do.
func TestTheWrongProtection(t *testing.T) {
	ca := testkit.CA(t)
	const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	for _, tt := range []struct {
		security  Security
		send, log string
	}{
		{Off, hello, "a client began TLS at once"},
		{StartTLS, hello, "a client began TLS at once"},
		{Implicit, "EHLO x\r\n", "a client sent plain text"},
		{Off, "GET / HTTP/1.1\r\n", "a client that does not speak SMTP"},
	} {
		var log bytes.Buffer
		r := newRig(t, func(_ *server, o *Options) {
			o.Security, o.TLS, o.Log = tt.security, ca.ServerConfig, zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.WarnLevel)
		})
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, tt.send); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", tt.send, err)
		}
		_ = c.Close()
		r.stop()
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.log) || !strings.Contains(got, `"hint"`) {
			t.Errorf("%q is logged as %s", tt.send, got)
		}
	}
}

func TestImplicitTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = Implicit, ca.ServerConfig })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	k := &talk{t: t, conn: c}
	k.secure(&tls.Config{RootCAs: ca.CertPool})
	k.want("220 ")
	k.do("EHLO x", "250 AUTH PLAIN LOGIN")
	k.do("STARTTLS", "503 ")
}

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects a client that takes what it is sent.
func (p *pipes) dial() *pipeClient {
	ours, theirs := net.Pipe()
	p.conns <- ours
	c := &pipeClient{Conn: theirs, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		buf := make([]byte, 4096)
		for {
			n, err := theirs.Read(buf)
			c.mu.Lock()
			c.got.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

type pipeClient struct {
	net.Conn
	ended chan struct{} // the server has closed
	mu    sync.Mutex
	got   bytes.Buffer
}

func (c *pipeClient) replies() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

// inTime runs a test with a server on pipes, where time passes as soon as all wait.
func inTime(t *testing.T, run func(t *testing.T, r *server, p *pipes)) {
	t.Helper()
	store := openRig(t) // whose goroutines are no part of the bubble
	synctest.Test(t, func(t *testing.T) {
		r := &server{t: t, store: store.store, routes: store.routes}
		r.server = New(Options{Login: r.login, Security: Off, Log: zerolog.Nop()})
		p := newPipes()
		r.stop = r.serve(p)
		defer r.stop()
		run(t, r, p)
	})
}

// TestASlowClient: it may take its time for each piece, within a message too, but none
// is waited for that has stopped; and what it had not ended is neither sent nor run.
func TestASlowClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		said  string
		every time.Duration // for each octet of slow, before the silence
		slow  string
		after time.Duration // of silence until the end
		want  string
	}{
		{"says nothing", "", 0, "", silentTimeout, "421"},
		{"says half a command", "", time.Second, "EHL", silentTimeout - 3*time.Second, "421"},
		{"does not log in", "EHLO x\r\n", time.Second, "NOOP\r\n", loginTimeout - 6*time.Second, "250 250 421"},
		{"stops in a login", "EHLO x\r\nAUTH LOGIN\r\n", 0, "", loginTimeout, "250 334 421"},
		{"stops after login", "EHLO x\r\nAUTH PLAIN AGFubgBwdw==\r\n", 4 * time.Minute, "NOOP\r\n", stallTimeout, "250 235 250 421"},
		{"stops in the header", begun, 4 * time.Minute, "From: ", stallTimeout, "250 235 250 250 354 421"},
		{"stops in the body", begun + headed + "\r\n", 4 * time.Minute, "QUIT\r\n.", stallTimeout, "250 235 250 250 354 421"},
		{"stops before the LF", begun + headed + "\r\n.\r", 0, "", stallTimeout, "250 235 250 250 354 421"},
	} {
		inTime(t, func(t *testing.T, r *server, p *pipes) {
			c := p.dial()
			_, _ = io.WriteString(c, tt.said)
			for i := range tt.slow {
				time.Sleep(tt.every)
				_, _ = io.WriteString(c, tt.slow[i:i+1])
			}
			start := time.Now()
			<-c.ended
			if took := time.Since(start); took != tt.after {
				t.Errorf("%s: given up after %v, want %v", tt.name, took, tt.after)
			}
			if got := codes(c.replies()); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
			if len(r.messages()) > 0 {
				t.Errorf("%s: a message was submitted", tt.name)
			}
		})
	}
}

// TestAVerySlowMessage takes hours and is submitted nevertheless.
func TestAVerySlowMessage(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, p *pipes) {
		c := p.dial()
		_, _ = io.WriteString(c, begun)
		for _, octet := range headed + "\r\nx\r\n.\r\n" {
			time.Sleep(stallTimeout - time.Second)
			_, _ = io.WriteString(c, string(octet))
		}
		_, _ = io.WriteString(c, "QUIT\r\n")
		<-c.ended
		r.last(1)
	})
}

// TestAClientThatDoesNotRead is not waited for.
func TestAClientThatDoesNotRead(t *testing.T) {
	inTime(t, func(t *testing.T, _ *server, p *pipes) {
		ours, theirs := net.Pipe()
		p.conns <- ours
		start := time.Now()
		_, err := io.ReadFull(theirs, make([]byte, 5))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * flushTimeout)
		if _, err = theirs.Write([]byte("x")); err == nil {
			t.Errorf("after %v the connection goes on", time.Since(start))
		}
	})
}

// TestCrowds: of thousands that connect and say nothing the oldest make room, and
// whoever comes then can send.
func TestCrowds(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, p *pipes) {
		var crowd []*pipeClient
		for range rounds.Of(1000, 10_000) {
			crowd = append(crowd, p.dial())
		}
		c := p.dial()
		_, _ = io.WriteString(c, begun+headed+"\r\nx\r\n.\r\nQUIT\r\n")
		<-c.ended
		r.last(1)
		refused := 0
		for _, other := range crowd {
			if strings.Contains(other.replies(), "421 4.3.2 Too many connections") {
				refused++
			}
			_ = other.Close()
		}
		if refused < len(crowd)/2 { // the others were closed without a word
			t.Errorf("%d heard why", refused)
		}
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		if n := len(r.server.anon); n > maxUnauthenticated {
			t.Errorf("%d sessions without a login", n)
		}
	})
}

// TestConnectionsOfADevice are bounded.
func TestConnectionsOfADevice(t *testing.T) {
	r := newRig(t)
	for range maxPerDevice {
		r.talk("ann")
	}
	k := r.talk("")
	k.do("EHLO x", "250 ")
	k.do("AUTH PLAIN "+plain("ann", "pw"), "454 4.7.0 Too many connections of this device, at most 32")
	k.do("AUTH PLAIN "+plain("any", "phone"), "235 ")
}

// TestARevokedDevice is disconnected at once, in the middle of a message, too.
func TestARevokedDevice(t *testing.T) {
	r := newRig(t)
	k, other := r.talk("ann"), r.talk("any")
	k.begin("bob@example.net")
	k.send(headed)
	r.server.Disconnect("ann", "laptop")
	k.want("421 4.3.2 This device has been revoked or changed")
	k.closed()
	other.do("NOOP", "250 ")
	if len(r.messages()) > 0 {
		t.Error("a message was submitted")
	}
}

// TestShutdown: Serve ends when all sessions have; a message that is whole is
// submitted before, one that is not is not.
func TestShutdown(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = StartTLS, ca.ServerConfig })
	enter := func() *talk {
		k := r.talk("")
		k.do("STARTTLS", "220 ")
		k.secure(&tls.Config{RootCAs: ca.CertPool})
		k.do("EHLO x", "250 ")
		k.do("AUTH PLAIN "+plain("ann", "pw"), "235 ")
		return k
	}
	whole, half, idle, early, stalled := enter(), enter(), enter(), r.talk(""), r.talk("")
	early.do("EHLO x", "250 ")
	stalled.do("STARTTLS", "220 ")
	half.begin("bob@example.net")
	half.send(headed)
	whole.begin("bob@example.net")
	began, goOn := make(chan struct{}), make(chan struct{})
	r.mu.Lock()
	r.submit = func(ctx context.Context, _ Submission) error {
		close(began)
		<-goOn
		return ctx.Err()
	}
	r.mu.Unlock()
	whole.send(headed + "\r\nx\r\n.")
	<-began
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	for _, k := range []*talk{half, idle, early} {
		k.want("421 4.3.2 Server shutting down")
		k.closed()
	}
	close(goOn)
	whole.want("250 2.0.0 ")
	whole.want("421 4.3.2 ")
	whole.closed()
	<-stopped
	r.last(1)
}

// TestASubmissionThatHangs holds the end of the server up for a bounded time, and its
// client is not told that it was queued.
func TestASubmissionThatHangs(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, p *pipes) {
		began := make(chan struct{})
		r.submit = func(ctx context.Context, _ Submission) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}
		c := p.dial()
		_, _ = io.WriteString(c, begun)
		_, _ = io.WriteString(c, headed+"\r\nx\r\n.\r\n")
		<-began
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > byeTimeout+joinTimeout {
			t.Errorf("it took %v", took)
		}
		<-c.ended
		if got := codes(c.replies()); got != "250 235 250 250 354" {
			t.Error(got)
		}
	})
}

// passing is an error of Accept as when there is no file descriptor left.
type passing struct{}

func (passing) Error() string   { return "too many open files" }
func (passing) Temporary() bool { return true }

type flaky struct {
	net.Listener
	fails int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.fails--; f.fails >= 0 {
		return nil, passing{}
	}
	return f.Listener.Accept()
}

// TestAccept: trouble that passes does not end the server, other trouble does.
func TestAccept(t *testing.T) {
	inTime(t, func(t *testing.T, r *server, _ *pipes) {
		p := newPipes()
		stop := r.serve(&flaky{p, 3})
		c := p.dial()
		_, _ = io.WriteString(c, "QUIT\r\n")
		<-c.ended
		if !strings.Contains(c.replies(), "221 ") {
			t.Errorf("%q", c.replies())
		}
		stop()
	})
	r := openRig(t)
	if err := r.server.Serve(t.Context(), dead{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type dead struct{ net.Listener }

func (dead) Accept() (net.Conn, error) { return nil, io.ErrClosedPipe }
func (dead) Close() error              { return nil }

// TestAPanic ends its connection and no other.
func TestAPanic(t *testing.T) {
	r := newRig(t)
	r.submit = func(context.Context, Submission) error { panic("a defect") }
	k, other := r.talk("ann"), r.talk("ann")
	k.begin("bob@example.net")
	k.send(headed + "\r\nx\r\n.")
	k.closed()
	other.do("NOOP", "250 ")
}

// TestTheLogHasNoSecrets, nor what mail says, at whatever level.
func TestTheLogHasNoSecrets(t *testing.T) {
	var log bytes.Buffer
	r := openRig(t, func(_ *server, o *Options) { o.Log = zerolog.New(zerolog.SyncWriter(&log)).Level(zerolog.TraceLevel) })
	wrong, right := plain("ann", "guessed"), plain("ann", "pw")
	r.play(strings.NewReader("EHLO x\r\nAUTH XOAUTH2 "+wrong+"\r\nAUTH PLAIN "+wrong+"\r\n"+wrong+"\r\nAUTH LOGIN\r\nguessed\r\nguessed\r\n"+begun+headed+"\r\nguessed\r\n.\r\n"), 1<<20)
	got := log.String()
	for _, secret := range []string{"guessed", wrong, right, "example"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is logged: %s", secret, got)
		}
	}
	if !strings.Contains(got, "SMTP login refused") || !strings.Contains(got, "a message was taken to be sent") {
		t.Error(got)
	}
}
