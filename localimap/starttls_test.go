package localimap

import (
	"bufio"
	"crypto/tls"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestBeforeTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
	k := r.talk("")
	for _, line := range []struct{ send, want string }{
		{"a NOOP", "a OK"},
		{"a noop extra", "a BAD"},
		{"a SELECT INBOX", "a BAD"},
		{"a ID NIL", "* ID NIL"},
		{"a LOGIN {3}", "a NO [PRIVACYREQUIRED]"},
		{"b LOGIN {3+}\r\njoe {8+}\r\nx LOGOUT\r\nc NOOP", "b NO [PRIVACYREQUIRED]"},
		{"d NOOP", "c OK"}, // not x
		{"a NOOP", "d OK"},
		{"a LOGOUT", "a OK"}, // of NOOP
	} {
		k.send(line.send)
		if got := k.line(); !strings.HasPrefix(got, line.want) {
			t.Fatalf("%q is answered %q, want %q", line.send, got, line.want)
		}
		if line.want == "* ID NIL" {
			k.want("a OK")
		}
	}
	k.want("* BYE")
	k.want("a OK")
	if got := k.line(); got != broken+"EOF" {
		t.Errorf("after LOGOUT: %q", got)
	}
}

// TestNothingGoesOnAfterSTARTTLS: what someone on the network has put behind
// STARTTLS must not count as said under TLS, and TLS is not greeted again.
func TestNothingGoesOnAfterSTARTTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
	k := r.talk("")
	k.send("a STARTTLS\r\nb NOOP")
	k.want("a OK")
	if got := k.line(); !strings.HasPrefix(got, broken) {
		t.Errorf("after more than STARTTLS: %q", got)
	}

	k = r.talk("")
	k.do("a STARTTLS", "a OK")
	secure := tls.Client(k.conn, clientTLS(&tls.Config{RootCAs: ca.CertPool}))
	k.conn, k.r = secure, bufio.NewReader(secure)
	k.send("b LOGIN joe pw")
	if got := k.line(); !strings.HasPrefix(got, "b OK") {
		t.Errorf("the first line under TLS is %q", got)
	}
}

// TestRefusalUnderTLS: a client that has to make room can read why.
func TestRefusalUnderTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(o *Options) { o.Security, o.TLS = serving.Implicit, ca.ServerConfig })
	dial := func() *bufio.Reader {
		return bufio.NewReader(tls.Client(r.dial(), clientTLS(&tls.Config{RootCAs: ca.CertPool})))
	}
	var oldest *bufio.Reader
	for range serving.MaxUnauthenticated + 1 {
		k := dial()
		if got, err := k.ReadString('\n'); err != nil || !strings.HasPrefix(got, "* OK [CAPABILITY") {
			t.Fatalf("%q, %v", got, err)
		}
		if oldest == nil {
			oldest = k
		}
	}
	if got, err := oldest.ReadString('\n'); err != nil || !strings.HasPrefix(got, "* BYE Too many connections that have not logged in") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestShutdownBeforeTLS: a client that has not yet asked for TLS is told, too;
// one that stalls in the handshake holds nothing up.
func TestShutdownBeforeTLS(t *testing.T) {
	ca := testkit.CA(t)
	r := newRig(t, func(o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
	k, stalled := r.talk(""), r.talk("")
	k.do("a NOOP", "a OK")
	stalled.do("a STARTTLS", "a OK")
	r.stop()
	k.want("* BYE")
	if got := k.line(); got != broken+"EOF" {
		t.Errorf("after BYE: %q", got)
	}
}
