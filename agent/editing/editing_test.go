package editing_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/secret"
)

func TestAccountName(t *testing.T) {
	long := strings.Repeat("a", 70)
	for address, want := range map[string]string{
		"ann@example.com": "ann@example.com", "Ann+x@example.com": "Ann+x@example.com", "o'brien@x.test": "o-brien@x.test-8a2022",
	} {
		if got := editing.AccountName(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	names := map[string]string{}
	for _, address := range []string{"o'brien@x.test", "o-brien@x.test", "o`brien@x.test", "jörg@x.test", "järg@x.test", "j-rg@x.test",
		long + "@x.test", long + "@y.test", long, long[:64], ".a@x.test", "a@x.test", "-a@x.test"} {
		name := editing.AccountName(address)
		if !config.ValidUser(name) {
			t.Errorf("%s: %s is no name", address, name)
		}
		if other, twice := names[strings.ToLower(name)]; twice {
			t.Errorf("%s and %s are both %s", other, address, name)
		}
		names[strings.ToLower(name)] = address
	}
	if one, other := editing.AccountName("O'Brien@x.test"), editing.AccountName("o'brien@x.test"); !strings.EqualFold(one, other) {
		t.Errorf("%s, %s", one, other)
	}
}

// What has the name of the password file of a new account is somebody else's.
func TestANewPasswordTakesNoFileThatIsThere(t *testing.T) {
	dir := t.TempDir()
	f := editing.File{Path: filepath.Join(dir, "config.toml"), Owner: "somebody"} // for whom there is no keychain
	if err := os.WriteFile(f.Path, []byte("version = 1\n\n[[account]]\nname = \"other\"\nhost = \"pop.example.com\"\nusername = \"x\"\npassword_command = [\"cat\", \"ann.password\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "ann.password")
	if err := os.WriteFile(theirs, []byte("of the other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "ann-2.password")); err != nil {
		t.Skip(err)
	}
	settings := editing.Mailbox{Name: "ann", POP: discover.Server{Host: "pop.example.com", Port: 995, TLS: "implicit", Username: "ann"}}.New()
	next, err := f.Planned(settings)
	if err != nil {
		t.Fatal(err)
	}
	where, err := f.Add(t.Context(), next, secret.Secret("of ann"), settings)
	if err != nil || where.File != filepath.Join(dir, "ann-3.password") || !strings.Contains(where.String(), where.File) {
		t.Fatalf("%+v, %v", where, err)
	}
	for path, want := range map[string]string{theirs: "of the other", where.File: "of ann\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	cfg, err := config.Load(f.Path)
	if err != nil || cfg.Accounts[1].Password.File != where.File {
		t.Errorf("%+v, %v", cfg, err)
	}
	if _, err := f.Planned(settings); err == nil {
		t.Error("a second account of the name is planned")
	}
}

// What a new account sends can leave: where its provider is not in the table, what was found
// of its outgoing server is written.
func TestANewAccountCanSend(t *testing.T) {
	pop := discover.Server{Host: "pop.example.com", Port: 995, TLS: "implicit", Username: "ann@example.com"}
	smtp := discover.Server{Host: "smtp.example.com", Port: 587, TLS: "starttls", Username: "ann@example.com"}
	local, gmx := pop, pop
	local.Username = "ann"
	gmx.Host, gmx.Username = "pop.gmx.net", "ann@gmx.de"
	clear := smtp
	clear.TLS = "none"
	for name, tt := range map[string]struct {
		mailbox editing.Mailbox
		want    string // the address, host, port, tls and user name
	}{
		"by the address":         {editing.Mailbox{Address: "ann@example.com", POP: pop, SMTP: smtp}, "[ann@example.com] smtp.example.com 587 starttls "},
		"by the local part":      {editing.Mailbox{Address: "ann@example.com", POP: local, SMTP: smtp}, "[ann@example.com] smtp.example.com 587 starttls ann@example.com"},
		"of a provider":          {editing.Mailbox{Address: "ann@gmx.de", POP: gmx, SMTP: smtp}, "[ann@gmx.de]  0  "},
		"without TLS":            {editing.Mailbox{Address: "ann@example.com", POP: pop, SMTP: clear}, "[ann@example.com]  0  "},
		"not known":              {editing.Mailbox{Address: "ann@example.com", POP: pop}, "[ann@example.com]  0  "},
		"an address in quotes":   {editing.Mailbox{Address: `"a b"@example.com`, POP: local, SMTP: smtp}, "[] smtp.example.com 587 starttls ann@example.com"},
		"an address as the user": {editing.Mailbox{Address: "Ann@Example.com", POP: pop, SMTP: smtp}, "[ann@example.com] smtp.example.com 587 starttls "},
	} {
		tt.mailbox.Name = "new"
		f := editing.File{Path: filepath.Join(t.TempDir(), "config.toml")}
		got, err := f.Planned(tt.mailbox.New())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := fmt.Sprint(got.Addresses, " ", got.Send.Host, " ", got.Send.Port, " ", got.Send.TLS, " ", got.Send.Username); s != tt.want {
			t.Errorf("%s: %s, want %s", name, s, tt.want)
		}
	}
}
