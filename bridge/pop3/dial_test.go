package pop3

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
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
			server := scripted.New(t, "@tls\nS: +OK\nC: CAPA\nS: -ERR\n", scripted.WithTLS(tt.server), scripted.Lenient())
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
}

// What closes the connection in place of a handshake may be the front of a server
// that is down: another port would not help.
func TestAHandshakeThatIsClosed(t *testing.T) {
	for script, security := range map[string]Security{
		"@close\n": Implicit,
		"S: +OK\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\nS: +OK\n@close\n": StartTLS,
	} {
		server := scripted.Listen(t, script)
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
	server := scripted.Listen(t, script, scripted.WithTLS(ca.ServerConfig), scripted.WithSplit(3))
	cfg := Config{Host: "127.0.0.1", Port: server.Port(), Security: StartTLS, TLS: &tls.Config{RootCAs: ca.CertPool}}
	if err := wholeSession(t.Context(), cfg); !fault.Is(err, fault.Temporary) {
		t.Errorf("cut: %v", err)
	}
	if err := wholeSession(t.Context(), cfg); !fault.Is(err, fault.Temporary) {
		t.Errorf("closed: %v", err)
	}
}
