package sending

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// Whether the secret to send is a token is said by the way out, whatever fetches.
func TestASecretToSend(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"fetch", "send"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const account = "[[account]]\nname = 'a'\nhost = 'pop.example.com'\nusername = 'ann'\nsend.host = 'smtp.example.com'\npassword_file = 'fetch'\n"
	for keys, want := range map[string]struct {
		secret string
		token  bool
	}{
		"":                            {"fetch", false},
		"send.password_file = 'send'": {"send", false},
		"auth = 'oauth2'":             {"fetch", true},
		"auth = 'oauth2'\nsend.password_file = 'send'":                         {"send", true},
		"auth = 'oauth2'\nsend.password_file = 'send'\nsend.auth = 'password'": {"send", false},
		"send.password_file = 'send'\nsend.auth = 'oauth2'":                    {"send", true},
	} {
		cfg, err := config.Parse(filepath.Join(dir, "config.toml"), []byte(account+keys))
		if err != nil {
			t.Errorf("%s: %v", keys, err)
			continue
		}
		s := New(users.New(users.Options{Config: func() *config.Config { return cfg }}), nil)
		way, _ := WayOf(cfg.Accounts[0])
		read, renew := s.credentials(cfg.Accounts[0], way)
		got, err := read(t.Context())
		if err != nil || renew != nil || got.Secret != want.secret || got.Token != want.token || got.Username != "ann" {
			t.Errorf("%s: %+v, %v", keys, got, err)
		}
	}
}

// Where the config names no outgoing server, that of the provider it fetches from gets no
// token of another one.
func TestATokenForTheServerOfAnotherProvider(t *testing.T) {
	cfg, err := config.Parse("config.toml", []byte("[oauth.google]\nclient_id = 'x'\n[[account]]\nname = 'a'\nhost = 'pop.mail.yahoo.com'\nusername = 'ann@yahoo.com'\npassword_file = 'fetch'\nsend.auth = 'oauth2'\nsend.oauth = 'google'\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := New(users.New(users.Options{Config: func() *config.Config { return cfg }}), nil)
	way, ok := WayOf(cfg.Accounts[0])
	if !ok || way.Host != "smtp.mail.yahoo.com" {
		t.Fatalf("%+v", way)
	}
	read, _ := s.credentials(cfg.Accounts[0], way)
	if got, err := read(t.Context()); !fault.Is(err, fault.Auth) || fault.Hint(err) == "" || got.Secret != "" {
		t.Errorf("%+v, %v", got, err)
	}
}
