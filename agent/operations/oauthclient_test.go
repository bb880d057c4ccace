package operations_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// A client id is written, its secret goes into a file, and what is wrong with them is said
// by their keys.
func TestAddClient(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	const secret = "hush-hush"
	for _, bad := range []struct {
		ask operations.NewClient
		key string
	}{
		{operations.NewClient{Provider: "google"}, "client_id"},
		{operations.NewClient{Provider: "google", ClientID: "a b"}, "client_id"},
		{operations.NewClient{Provider: "google", ClientID: "id\"\n[log]", ClientSecret: secret}, "client_id"},
		{operations.NewClient{Provider: "google", ClientID: "id", Tenant: "example.com"}, "tenant"},
		{operations.NewClient{Provider: "google", ClientID: "id", ClientSecret: "two\nlines"}, "client_secret"},
	} {
		made, err := r.Ops().AddClient(t.Context(), bad.ask)
		if err != nil || len(made.Wrong) == 0 || made.Wrong[0].Key != bad.key || made.Wrong[0].Hint == "" {
			t.Errorf("%+v: %+v, %v", bad.ask, made, err)
		}
	}
	for _, provider := range []string{"", "azure", "google]\n[log"} {
		if made, err := r.Ops().AddClient(t.Context(), operations.NewClient{Provider: provider, ClientID: "id"}); !fault.Is(err, fault.Denied) {
			t.Errorf("provider %q: %+v, %v", provider, made, err)
		}
	}
	if text := r.Text(); strings.Contains(text, "oauth") {
		t.Fatalf("config\n%s", text)
	}
	for _, name := range []string{"google", "google-2"} {
		made, err := r.Ops().AddClient(t.Context(), operations.NewClient{Provider: "google", ClientID: "id-" + name, ClientSecret: secret})
		if err != nil || len(made.Wrong) > 0 || made.Name != name {
			t.Errorf("%+v, %v, want %s", made, err, name)
		}
	}
	text := r.Text()
	if strings.Contains(text, secret) || !strings.Contains(text, "[oauth.google-2]\nprovider") || !strings.Contains(text, `"id-google-2"`) {
		t.Errorf("config\n%s", text)
	}
	files, err := filepath.Glob(filepath.Join(r.Dir, "oauth-google*.password"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if got, err := os.ReadFile(f); err != nil || string(got) != secret+"\n" {
			t.Errorf("%s: %q, %v", f, got, err)
		}
	}
}

// Whoever holds a session of the page cannot have tokens sent to another server than that
// of their provider, or one to which the config sends them already.
func TestTokensGoToTheirProviderOnly(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	text := r.Text() + "\n[oauth.own]\nclient_id = \"x\"\nauthorize_url = \"https://login.example.com/a\"\ntoken_url = \"https://login.example.com/t\"\nscopes = [\"mail\"]\n" +
		"[oauth.google]\nclient_id = \"x\"\n" +
		"[[account]]\nname = \"own\"\nhost = \"pop.example.com\"\nusername = \"ann\"\nauth = \"oauth2\"\noauth = \"own\"\n"
	if err := os.WriteFile(r.Path(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(address, host string, port int, tls string) error {
		added, err := r.Ops().AddAccount(t.Context(), operations.NewAccount{Address: address, OAuth: true,
			Server: operations.MailServer{Host: host, Port: port, TLS: tls, Username: address}})
		if err == nil && len(added.Wrong) > 0 {
			t.Errorf("%s: %+v", host, added.Wrong)
		}
		return err
	}
	for _, s := range []struct {
		host string
		port int
		tls  string
	}{
		{"pop.evil.example", 995, "implicit"}, {"pop.gmail.com.evil.example", 995, "implicit"}, {"pop.gmail.com", 110, "none"},
		{"pop.example.com", 110, "none"}, {"pop.example.com", 1995, "implicit"}, {"pop.example.com", 995, "starttls"},
	} {
		if err := add("ann@example.org", s.host, s.port, s.tls); !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
			t.Errorf("%v: %v", s, err)
		}
	}
	if err := add("ann@gmail.com", "pop.gmail.com", 995, "implicit"); err != nil {
		t.Error(err)
	}
	if err := add("bob@example.com", "pop.example.com", 995, "implicit"); err != nil {
		t.Error(err)
	}
	// An outgoing server of somebody else is left out: that of the provider is known.
	if _, err := r.Ops().AddAccount(t.Context(), operations.NewAccount{Address: "c@example.net", OAuth: true,
		Server: operations.MailServer{Host: "pop.example.com", Port: 995, TLS: "implicit", Username: "c"},
		SMTP:   operations.MailServer{Host: "smtp.evil.example", Port: 465, TLS: "implicit", Username: "c"}}); err != nil {
		t.Error(err)
	}
	if got := r.Text(); strings.Count(got, `auth     = "oauth2"`) != 3 || strings.Contains(got, "evil") {
		t.Errorf("config\n%s", got)
	}
	if err := os.WriteFile(r.Path(), []byte(r.Text()+"[[account]]\nname = \"evil\"\nhost = \"pop.evil.example\"\nusername = \"ann\"\npassword_file = \"x\"\n"+
		"[[account]]\nname = \"other\"\nhost = \"pop.example.com\"\nport = 995\nusername = \"other\"\npassword_file = \"x\"\nsend.host = \"smtp.evil.example\"\n"+
		"[[account]]\nname = \"old\"\nhost = \"pop.googlemail.com\"\nusername = \"ann\"\npassword_file = \"x\" # of 2020\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().UseSignIn(t.Context(), operations.AccountName{Account: "evil"}); !fault.Is(err, fault.Denied) {
		t.Errorf("an account with a password elsewhere: %v", err)
	}
	if _, err := r.Ops().UseSignIn(t.Context(), operations.AccountName{Account: "other"}); !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
		t.Errorf("an account that sends elsewhere: %v", err)
	}
	d, err := r.Ops().AccountDetails(t.Context(), operations.AccountName{Account: "old"})
	if err != nil || d.OAuth != "google" || d.TokenProvider != "google" || d.Password != "file" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = r.Ops().UseSignIn(t.Context(), operations.AccountName{Account: "old"}); err != nil || d.Password != "signin" || !strings.Contains(r.Text(), "# password_file = \"x\" # of 2020") {
		t.Errorf("%+v, %v\n%s", d, err, r.Text())
	}
	to := operations.MailServer{Host: "pop.evil.example", Port: 995, TLS: "implicit", Username: "ann"}
	tried, err := r.Ops().SetLogin(t.Context(), operations.SetLogin{Account: "own", Server: to, Password: "x"})
	if err == nil {
		t.Errorf("the server of an account that is signed in is changed: %+v", tried)
	}
}
