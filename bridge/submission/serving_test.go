package submission

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestBeforeTLS: no one logs in and no one sends before TLS, and a password that comes
// in the clear is not even looked at.
func TestBeforeTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(r *server, o *Options) {
		o.Security, o.TLS = serving.StartTLS, ca.ServerConfig
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
	r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
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
		security  serving.Security
		send, log string
	}{
		{serving.Off, hello, "a client began TLS at once"},
		{serving.StartTLS, hello, "a client began TLS at once"},
		{serving.Implicit, "EHLO x\r\n", "a client sent plain text"},
		{serving.Off, "GET / HTTP/1.1\r\n", "a client that does not speak SMTP"},
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
	r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = serving.Implicit, ca.ServerConfig })
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
	r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
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
