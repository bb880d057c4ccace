package accounts

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/health"
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
		if got := SecurityOf(s); got != want {
			t.Errorf("%v became %v", s, got)
		}
	}
}

// Where POP is switched on is known for some providers, and nothing that a server says is
// a link.
func TestLinkToSwitchPOPOn(t *testing.T) {
	refused := fault.Wrap(&pop3.ReplyError{Command: "PASS", Text: "POP access is disabled, see https://evil.example"}, fault.Config, "POP is off", "switch it on")
	for host, want := range map[string]string{"pop.gmail.com": "https://mail.google.com/mail/#settings/fwdandpop", "pop.example.com": ""} {
		ac := &Account{Config: config.Account{Name: "home", User: "ann", Username: "ann@example.com", Host: host}}
		c := ac.concern(health.Account("home", refused, 1))
		if c[0].Code != health.CodeAccountPOPOff || c[0].Link != want || c[0].User != "ann" || !strings.HasPrefix(c[0].Hint, "switch it on") || !strings.HasSuffix(c[0].Hint, want) || c[1].Link != "" {
			t.Errorf("%s: %+v", host, c)
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
		got, err := credentials(t.Context(), acc, SecretOf(acc).Read)
		if want := (pop3.Credentials{Username: "ann", Secret: "secret", Method: method}); err != nil || got != want {
			t.Errorf("%s: %+v, %v", auth, got, err)
		}
	}
	acc := config.Account{Name: "home", Username: "ann", Host: "pop.example.com"}
	want := secret.Item{Service: "popbridge", Account: "ann@pop.example.com"}
	if got := SecretOf(acc); got.Keychain != want {
		t.Errorf("the keychain is asked for %+v, want %+v", got.Keychain, want)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(file, 0o666); err != nil {
			t.Fatal(err)
		}
		acc.Password.File = file
		if _, err := credentials(t.Context(), acc, SecretOf(acc).Read); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "chmod") {
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
		_, err := ClientTLS(config.Account{Name: "home", TLS: config.Implicit, CAFile: file})
		if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "ca_file") {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

// The SMTP server of an account has a certificate of its own, whatever is known of that of
// the POP3 server.
func TestCAFileOfTheSender(t *testing.T) {
	ca := testkit.CA(t, "smtp.example.com").CAFile
	pinned := config.Send{Host: "smtp.example.com", TLS: config.StartTLS, Pins: []config.Pin{{1}}}
	for name, tt := range map[string]struct {
		account config.Account
		way     config.Send
		used    bool
	}{
		"POP3 with a pin":    {config.Account{TLS: config.Implicit, Pins: []config.Pin{{1}}}, config.Send{TLS: config.Implicit}, true},
		"POP3 without TLS":   {config.Account{TLS: config.None}, config.Send{TLS: config.StartTLS}, true},
		"SMTP with a pin":    {config.Account{TLS: config.Implicit}, pinned, false},
		"SMTP without TLS":   {config.Account{TLS: config.Implicit}, config.Send{TLS: config.None}, false},
		"both by ca_file":    {config.Account{TLS: config.Implicit}, config.Send{TLS: config.Implicit}, true},
		"TLS 1.0 at the two": {config.Account{TLS: config.Implicit, TLSMinimum: config.TLS10}, config.Send{TLS: config.Implicit}, true},
	} {
		tt.account.CAFile = ca
		got, err := SenderTLS(tt.account, tt.way)
		if err != nil || (got.RootCAs != nil) != tt.used || (got.MinVersion < tls.VersionTLS12) != (tt.account.TLSMinimum == config.TLS10) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	cfg := &config.Config{Accounts: []config.Account{{Name: "home", TLS: config.None, CAFile: "missing.pem", Send: config.Send{Host: "smtp.example.com", Password: config.PasswordSource{File: "none"}}}}}
	wrong, _ := CheckFiles(t.Context(), cfg)
	if len(wrong) != 2 || wrong[0].Key != "account[1].send.password_file" || wrong[1].Key != "account[1].ca_file" {
		t.Errorf("check-config: %+v", wrong)
	}
}
