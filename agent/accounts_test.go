package agent

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestConfigInTheWordsOfTheBridge(t *testing.T) {
	day := 24 * time.Hour
	for k, want := range map[config.KeepOnServer]plan.Keep{
		{}: plan.KeepForever(), {Rule: config.KeepNever}: plan.KeepNever(),
		{Rule: config.KeepFor, For: 30 * day}:  plan.KeepFor(30 * day),
		{Rule: config.KeepNewest, Newest: 500}: plan.KeepNewest(500),
		{Rule: config.KeepBelow, Percent: 80}:  plan.KeepBelow(80, 1e9),
	} {
		if got := keepOf(k, 1e9); got != want || got.String() != k.String() {
			t.Errorf("%v became %v", k, got)
		}
	}
	for s, want := range map[config.Security]pop3.Security{
		config.Implicit: pop3.Implicit, config.StartTLS: pop3.StartTLS, config.None: pop3.Plain,
	} {
		if got := securityOf(s); got != want {
			t.Errorf("%v became %v", s, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for auth, method := range map[config.Auth]pop3.Method{
		config.AuthPassword: pop3.MethodPassword, config.AuthAPOP: pop3.MethodAPOP, config.AuthOAuth2: pop3.MethodToken,
	} {
		acc := config.Account{Name: "home", Username: "ann", Auth: auth, Password: config.PasswordSource{File: file}}
		got, err := credentials(t.Context(), acc)
		if want := (pop3.Credentials{Username: "ann", Secret: "secret", Method: method}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", auth, got, err)
		}
	}
	acc := config.Account{Name: "home", Username: "ann", Host: "pop.example.com"}
	want := secret.Item{Service: "popbridge", Account: "ann@pop.example.com"}
	if got := secretOf(acc); got.Keychain != want {
		t.Errorf("the keychain is asked for %+v, want %+v", got.Keychain, want)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(file, 0o666); err != nil {
			t.Fatal(err)
		}
		acc.Password.File = file
		if _, err := credentials(t.Context(), acc); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "chmod") {
			t.Errorf("a password file that others can change: %v", err)
		}
	}
}

func TestCAFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.pem")
	if err := os.WriteFile(text, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{text, filepath.Join(dir, "missing.pem")} {
		_, err := clientTLS(config.Account{Name: "home", TLS: config.Implicit, CAFile: file})
		if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "ca_file") {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

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
		results, err := r.agent.Sync(t.Context(), nil, nil)
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
