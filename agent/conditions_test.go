package agent

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// What a person may meet on the way to a server: each is a condition of its
// own, with what to do, and is over once the cause is gone.
func TestConditionsOfAnAccount(t *testing.T) {
	r := newRig(t)
	ca := testkit.CA(t)
	_, port := pop(t, "home", 2)
	tlsPort := popTLS(t, "home", ca.ServerConfig)
	wrong := filepath.Join(r.dir, "wrong")
	if err := os.WriteFile(wrong, []byte("guess"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, good)
	r.start()

	tests := []struct {
		code   string
		change func(a *testAccount)
	}{
		{"account-auth", func(a *testAccount) { a.change("password_file = \"password\"", "password_file = \"wrong\"") }},
		{"account-config", func(a *testAccount) { a.change("password_file = \"password\"", "password_file = \"missing\"") }},
		{"account-unreachable", func(a *testAccount) { a.port = 1 }},
		{"account-unreachable", func(a *testAccount) { a.change("127.0.0.1", "pop.popbridge.invalid") }},
		{"account-tls", func(a *testAccount) { a.port = tlsPort; a.change("tls = \"none\"", "tls = \"implicit\"") }},
		{"account-tls", func(a *testAccount) { a.change("tls = \"none\"", "tls = \"implicit\"") }}, // speaks no TLS
		{"", func(a *testAccount) {
			a.port = tlsPort
			a.change("tls = \"none\"", "tls = \"implicit\"\nca_file = '"+ca.CAFile+"'")
		}},
	}
	for _, tt := range tests {
		bad := good
		tt.change(&bad)
		r.configure(plain, bad)
		r.agent.Reload()
		results, err := r.agent.ops.Sync(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		health := r.status().Health
		if tt.code == "" {
			if results[0].Error != "" || len(health) > 0 {
				t.Errorf("a trusted server: %+v, %+v", results, health)
			}
			continue
		}
		if len(health) != 1 || health[0].Code != tt.code || health[0].Hint == "" || !strings.Contains(health[0].Text, "home") {
			t.Errorf("want %s, have %+v", tt.code, health)
		}
		if results[0].Error == "" || results[0].Hint == "" {
			t.Errorf("%s: sync said %+v", tt.code, results[0])
		}
	}
	r.configure(plain, good)
	r.agent.Reload()
	r.sync()
	if got := r.codes(); got != "" {
		t.Errorf("all is well again, but health is %q", got)
	}
}

// popTLS is pop with TLS from the first byte.
func popTLS(t *testing.T, name string, cfg *tls.Config) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	servePOP(t, name, 2, tls.NewListener(ln, cfg))
	return ln.Addr().(*net.TCPAddr).Port
}
