package pop3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/bridge/pop3/pop3test"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestTLSFailuresSayWhatToDo(t *testing.T) {
	ca, other := testkit.CA(t, "pop.example.com"), testkit.CA(t, "pop.example.com")
	expired := ca.ServerConfig.Clone()
	old := ca.ServerConfig.Clone()
	old.MaxVersion = tls.VersionTLS11
	for _, tt := range []struct {
		name, host string
		roots      *x509.CertPool
		server     *tls.Config
		kind       fault.Kind
		text, hint string
	}{
		{"unknown authority", "pop.example.com", other.CertPool, ca.ServerConfig, fault.Config, "no authority that this computer trusts", "ca_file"},
		{"another name", "pop.example.org", ca.CertPool, ca.ServerConfig, fault.Config, "is not for", "pop.example.com"},
		{"old protocol", "pop.example.com", ca.CertPool, old, fault.Config, "does not speak TLS 1.2", `tls_minimum = "1.0"`},
		{"fine", "pop.example.com", ca.CertPool, expired, fault.Internal, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := pop3test.New(t, "@tls\nS: +OK\nC: CAPA\nS: -ERR\n", pop3test.WithTLS(tt.server), pop3test.Lenient())
			c, err := Dial(t.Context(), Config{Host: tt.host, TLS: &tls.Config{RootCAs: tt.roots}, Dialer: server.Dial})
			if tt.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
				return
			}
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) || !strings.Contains(fault.Hint(err), tt.hint) {
				t.Errorf("%v: %v\nhint: %s", fault.KindOf(err), err, fault.Hint(err))
			}
		})
	}
}

func TestExpiredCertificate(t *testing.T) {
	c := newClient(Config{Host: "pop.example.com"}.withDefaults(), &fuzzConn{})
	err := c.classifyTLS(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}})
	if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "clock") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

func TestDialFailures(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	_ = ln.Close()
	_, err = Dial(t.Context(), Config{Host: "127.0.0.1", Port: port, Security: Plain})
	if !fault.Is(err, fault.Temporary) || !strings.Contains(fault.Hint(err), "port") {
		t.Errorf("refused: %v, hint %s", err, fault.Hint(err))
	}
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for port, security := range map[int]Security{995: Implicit, 110: StartTLS} {
		if hint := fault.Hint(classifyDial(Config{Host: "x", Port: port, Security: security}, refused)); hint != hintHost {
			t.Errorf("at the usual port %d: hint %s", port, hint)
		}
	}
	for _, tt := range []struct {
		err  error
		kind fault.Kind
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}, fault.Config},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}}, fault.Temporary},
	} {
		err := classifyDial(Config{Host: "x"}, tt.err)
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), `"x" was not found`) {
			t.Error(err)
		}
	}
}

// What closes the connection in place of a handshake may be the front of a server
// that is down: another port would not help.
func TestAHandshakeThatIsClosed(t *testing.T) {
	for script, security := range map[string]Security{
		"@close\n": Implicit,
		"S: +OK\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\nS: +OK\n@close\n": StartTLS,
	} {
		server := pop3test.Listen(t, script)
		_, err := Dial(t.Context(), Config{Host: "127.0.0.1", Port: server.Port(), Security: security})
		if !fault.Is(err, fault.Temporary) || !strings.Contains(fault.Hint(err), "may be down") {
			t.Errorf("%v, hint %s", err, fault.Hint(err))
		}
	}
}

// TestOverTCP goes once through what the other tests have in memory only.
func TestOverTCP(t *testing.T) {
	ca := testkit.CA(t)
	script := "S: +OK\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\nS: +OK\n@tls\nC: CAPA\nS: +OK\nS: PIPELINING\nS: .\n" +
		"C: USER ann\nS: +OK\nC: PASS pw\nS: +OK\nC: CAPA\nS: -ERR\nC: UIDL\nS: +OK\nS: 1 a\nS: .\n" +
		"C: RETR 1\nS: +OK\nS: hello\n@cut\n" +
		"@connection\nS: +OK\nC: CAPA\n@close\n"
	server := pop3test.Listen(t, script, pop3test.WithTLS(ca.ServerConfig), pop3test.WithSplit(3))
	cfg := Config{Host: "127.0.0.1", Port: server.Port(), Security: StartTLS, TLS: &tls.Config{RootCAs: ca.CertPool}}
	if err := wholeSession(t.Context(), cfg); !fault.Is(err, fault.Temporary) {
		t.Errorf("cut: %v", err)
	}
	if err := wholeSession(t.Context(), cfg); !fault.Is(err, fault.Temporary) {
		t.Errorf("closed: %v", err)
	}
}
