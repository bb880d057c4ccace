package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/oauth"
)

// Every key of a table, and each way in which an account finds its own.
func TestOAuth(t *testing.T) {
	const text = `
[oauth.google]
client_id          = "g-id"
client_secret_file = "google.secret"
[oauth.work]
provider  = "microsoft"
tenant    = "example.com"
client_id = "w-id"
redirect  = "http://127.0.0.1:7777"
pkce      = false
[oauth.own]
client_id     = "o-id"
authorize_url = "https://login.example.com/authorize"
token_url     = "http://[::1]:8080/token"
device_url    = "https://login.example.com/device"
scopes        = ["mail", "offline"]
resource      = "https://mail.example.com"
`
	google, _ := oauth.Builtin("google", "")
	work, _ := oauth.Builtin("microsoft", "example.com")
	work.Redirect, work.PKCE = "http://127.0.0.1:7777", false
	want := []OAuth{
		{Name: "google", Provider: "google", ClientID: "g-id", SecretFile: abs("/etc/google.secret"), Endpoints: google},
		{Name: "own", ClientID: "o-id", Endpoints: oauth.Endpoints{Authorize: "https://login.example.com/authorize", Token: "http://[::1]:8080/token",
			Device: "https://login.example.com/device", POP: []string{"mail", "offline"}, SMTP: []string{"mail", "offline"}, Resource: "https://mail.example.com", PKCE: true}},
		{Name: "work", Provider: "microsoft", ClientID: "w-id", Endpoints: work},
	}
	for host, name := range map[string]string{"pop.gmail.com": "google", "outlook.office365.com": "work", "pop.example.com": "own"} {
		cfg, err := ann().parse(abs("/etc/config.toml"), []byte(text+"[[account]]\nname = 'a'\nusername = 'a'\nauth = 'oauth2'\nhost = '"+host+"'"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, cfg.OAuth); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if a := cfg.Accounts[0]; a.OAuth == nil || a.OAuth.Name != name {
			t.Errorf("%s: %+v", host, a.OAuth)
		}
	}
	cfg, err := ann().parse(abs("/etc/config.toml"), []byte(text+"[[account]]\nname = 'a'\nusername = 'a'\nauth = 'oauth2'\nhost = 'pop.gmail.com'\noauth = 'own'"))
	if err != nil || cfg.Accounts[0].OAuth.Name != "own" {
		t.Errorf("%v, %+v", err, cfg)
	}
	same := cfg.Accounts[0]
	other := *same.OAuth
	other.ClientID = "another"
	changed := same
	changed.OAuth = &other
	if same.Equal(changed) {
		t.Error("an account whose table has changed is the same")
	}
}

// A mistake in a table is told once, and not of the accounts that would sign in by it.
func TestAMistakeOfAProviderIsToldOnce(t *testing.T) {
	for _, provider := range []string{"provider = 'mikrosoft'", ""} {
		_, err := ann().parse(abs("/etc/config.toml"), []byte("[oauth.work]\nclient_id = 'x'\n"+provider+"\n[[account]]\nname = 'a'\nusername = 'a'\nauth = 'oauth2'\noauth = 'work'\nhost = 'outlook.office365.com'"))
		if found, ok := errors.AsType[*Errors](err); !ok || slices.ContainsFunc(found.Problems, func(p Problem) bool { return strings.HasPrefix(p.Key, "account") }) {
			t.Errorf("%q: %v", provider, err)
		}
	}
}
