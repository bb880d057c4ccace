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

// An account may sign in to fetch, to send, for both or for neither, and have a secret of its
// own for either.
func TestSigningInToSend(t *testing.T) {
	const tables = "[oauth.yandex]\nclient_id = 'y'\n[oauth.google]\nclient_id = 'g'\n[[account]]\nname = 'a'\nusername = 'ann@example.com'\n"
	for _, tt := range []struct {
		keys        string
		fetch, send string // the table, "" for none
		auth        Auth   // to send
	}{
		{"host = 'pop.gmail.com'\nauth = 'oauth2'", "google", "google", AuthOAuth2},
		{"host = 'pop.gmail.com'", "", "", AuthPassword},
		{"host = 'pop.gmail.com'\nauth = 'apop'", "", "", AuthPassword},
		{"host = 'pop.yandex.com'\nsend.auth = 'oauth2'\nsend.oauth = 'yandex'", "", "yandex", AuthOAuth2},
		{"host = 'pop.example.com'\npassword_file = 'p'\nsend.host = 'smtp.yandex.com'\nsend.auth = 'oauth2'", "", "yandex", AuthOAuth2},
		{"host = 'pop.example.com'\nsend.auth = 'oauth2'\nsend.oauth = 'google'", "", "google", AuthOAuth2},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\nsend.password_file = 'p'", "google", "", AuthPassword},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\nsend.auth = 'password'\nsend.password_file = 'p'", "google", "", AuthPassword},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\nsend.auth = 'oauth2'\nsend.password_command = ['token']", "google", "", AuthOAuth2},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\npassword_command = ['token']", "", "", AuthOAuth2},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\npassword_command = ['token']\nsend.password_command = ['other']", "", "", AuthOAuth2},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\npassword_command = ['token']\nsend.auth = 'password'\nsend.password_file = 'p'", "", "", AuthPassword},
		{"host = 'pop.gmail.com'\nauth = 'oauth2'\npassword_command = ['token']\nsend.oauth = 'google'", "", "google", AuthOAuth2},
		{"host = 'pop.gmail.com'\npassword_file = 'p'\nsend.auth = 'oauth2'\nsend.password_command = ['token']", "", "", AuthOAuth2},
	} {
		cfg, err := ann().parse(abs("/etc/config.toml"), []byte(tables+tt.keys))
		if err != nil {
			t.Errorf("%s: %v", tt.keys, err)
			continue
		}
		a, fetch, send := cfg.Accounts[0], "", ""
		if a.SignsInToFetch() {
			fetch = a.OAuth.Name
		}
		if a.SignsInToSend() {
			send = a.OAuth.Name
		}
		if fetch != tt.fetch || send != tt.send || a.Send.Auth != tt.auth {
			t.Errorf("%s: fetches by %q, sends by %q and %s", tt.keys, fetch, send, a.Send.Auth)
		}
	}
	for keys, want := range map[string]string{
		"host = 'pop.yandex.com'\nauth = 'oauth2'\noauth = 'yandex'":                              "account[1].auth: the POP servers of yandex take no token",
		"host = 'pop.gmail.com'\nsend.oauth = 'google'":                                           "account[1].send.oauth: what the account sends leaves with a password",
		"host = 'pop.gmail.com'\nauth = 'oauth2'\nsend.oauth = 'yandex'":                          "account[1].send.oauth: the account is signed in by [oauth.google] to fetch",
		"host = 'pop.gmail.com'\nauth = 'oauth2'\nsend.auth = 'password'":                         "account[1].send.auth: there is no password to send with",
		"host = 'pop.gmail.com'\nsend.auth = 'apop'":                                              "account[1].send.auth: ",
		"host = 'pop.gmail.com'\nsend.auth = 'oauth2'\nsend.oauth = 'gogle'":                      "account[1].send.oauth: there is no table [oauth.gogle]",
		"host = 'pop.example.com'\nsend.auth = 'oauth2'":                                          "account[1].send.auth: no table [oauth.NAME] is for this server",
		"host = 'p.example.com'\nsend.auth='oauth2'\nsend.oauth='google'\nsend.password_file='x'": "account[1].send.oauth: the token comes from",
	} {
		_, err := ann().parse(abs("/etc/config.toml"), []byte(tables+keys))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "account[1]") != 1 {
			t.Errorf("%s: %v", keys, err)
		}
	}
}
