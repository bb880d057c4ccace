package config

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
)

var update = flag.Bool("update", false, "write what is found as what is wanted")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ann is a system that is the same on every machine.
func ann(env ...string) system {
	vars := map[string]string{}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	return system{goos: "linux", home: "/home/ann", getenv: func(k string) string { return vars[k] },
		addresses: func() []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.20")}
		}}
}

// abs is a path that is absolute on the system the test runs on.
func abs(path string) string {
	if runtime.GOOS == "windows" {
		return `C:` + filepath.FromSlash(path)
	}
	return path
}

func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			var want string
			kept := ar.Files[:0:0]
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				kept = append(kept, f)
				cfg, err := ann().parse(f.Name, f.Data)
				wrong, ok := errors.AsType[*Errors](err)
				if !ok || cfg != nil {
					t.Fatalf("%s: got %v, %v", f.Name, cfg, err)
				}
				for _, p := range wrong.Problems {
					got.WriteString(withHint(p, f.Name))
				}
			}
			if strings.Contains(got.String(), "hunter2") {
				t.Errorf("a secret is shown:\n%s", &got)
			}
			if *update {
				ar.Files = append(kept, txtar.File{Name: "want", Data: []byte(got.String())})
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// withHint is a problem as the goldens have it.
func withHint(p Problem, file string) string {
	line := p.In(file)
	if p.Hint != "" {
		line += "; hint: " + p.Hint
	}
	return line + "\n"
}

func TestErrorsAreAFault(t *testing.T) {
	_, err := ann().parse("config.toml", []byte("a = 1\nb = 2\n"))
	if k := fault.KindOf(err); k != fault.Config {
		t.Errorf("kind %v", k)
	}
	if got, want := fault.Hint(err), "run popbridge check-config to see them all"; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
	_, err = ann().parse("config.toml", []byte("[log]\nlevl = 1\n"))
	f, _ := errors.AsType[*fault.Error](err)
	if got, want := f.Text, "config.toml:2: log.levl: this key is not known"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got, want := fault.Hint(err), "did you mean level?"; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.toml"))
	if !fault.Is(err, fault.Config) || fault.Hint(err) == "" || !strings.HasSuffix(err.Error(), "none.toml") {
		t.Errorf("missing file: %v", err)
	}
	if _, err = Load(dir); !fault.Is(err, fault.Config) {
		t.Errorf("folder: %v", err)
	}
	if _, err = Load(""); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "--config") {
		t.Errorf("no path: %v", err)
	}
	for name, data := range map[string]string{
		"large":  strings.Repeat("#\n", maxFile),
		"utf-16": "\xff\xfev\x00e\x00",
		"binary": "version = 1\n# \x00\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if e, ok := errors.AsType[*Errors](err); !ok || len(e.Problems) != 1 || e.Problems[0].Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExample(t *testing.T) {
	want := &Config{
		Version: 1, Path: abs("/etc/popbridge/config.toml"), DataDir: "/home/ann/.local/share/popbridge",
		IMAP: IMAP{Listen: []string{"127.0.0.1:1143"}, TLS: StartTLS},
		SMTP: SMTP{Listen: []string{"127.0.0.1:1587"}, TLS: StartTLS, MarkAnswered: true},
		LAN:  LAN{SMTPPort: 1465},
		Web:  Web{Listen: "127.0.0.1:1180"},
		Log:  Log{Level: "info", Format: "auto"}, KeepExpunged: 30 * day, Notices: true,
		Accounts: []Account{{
			Name: "home", Host: "pop.example.com", Port: 995, TLS: Implicit, TLSMinimum: TLS12, Username: "ann@example.com", Auth: AuthPassword,
			PollEvery: 5 * time.Minute, ConfirmDeletes: true, DeleteGrace: 7 * day, User: "ann", Folder: "INBOX", MaxMessageSize: 200_000_000, Addresses: []string{"ann@example.com"}, Send: Send{Auth: AuthPassword},
		}},
	}
	for name, text := range map[string]string{
		"as it is":      Example,
		"Windows":       "\ufeff" + strings.ReplaceAll(Example, "\n", "\r\n"),
		"all defaulted": "[[account]]\nname='home'\nhost='POP.Example.com.'\nusername='ann@example.com'\nuser='ann'",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ann().parse(want.Path, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if w := got.Warnings(); len(w) > 0 {
				t.Errorf("warnings: %v", w)
			}
		})
	}
	// What is commented out is correct, too.
	text := strings.NewReplacer("\n# port", "\nport", "\n# data_dir", "\ndata_dir", "\n# password_file", "\npassword_file",
		"\n# auth", "\nauth", "\n# ca_file", "\nca_file", "\n# max", "\nmax", "\n# keep_exp", "\nkeep_exp",
		"\n# [lan]", "\n[lan]", "\n# enabled", "\nenabled", "\n# listen ", "\nlisten ", "\n# [web]", "\n[web]", "\n# [smtp]", "\n[smtp]", "\n# tls ", "\ntls ",
		"\n# send", "\nsend", "\n# mark", "\nmark", "\n# address", "\naddress",
		"\n# quota", "\nquota", "\n# confirm", "\nconfirm", "\n# shadow", "\nshadow", "\n# paused", "\npaused", "\n# delete", "\ndelete").Replace(Example)
	if _, err := ann().parse(want.Path, []byte(text)); err != nil {
		t.Error(err)
	}
}

const everything = `
version = 1
data_dir = "mail"
keep_expunged = "90d"
timezone = "Europe/Vienna"
notices = false
imap = {listen = ["localhost:1143", "[::1]:0", "127.0.0.1:0"], tls = "off"}
smtp = {listen = ["localhost:1587", "127.0.0.1:0"], tls = "implicit", send_delay = "10s", mark_answered = false}
[lan]
enabled = true
listen = ["[FD00::20]:1993", "Ethernet 2:1993"]
smtp_port = 2465
[web]
listen = "localhost:1181"
[log]
level = "trace"
format = "json"
[[account]]
name = "home"
host = "[::1]"
port = 1110
tls = "starttls"
username = "ann"
password_file = "~/secret"
auth = "apop"
ca_file = "ca.pem"
tls_pin = ["sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "sha256:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F", "sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
tls_minimum = "1.0"
poll_every = "1d"
keep_on_server = "30d"
confirm_deletes = false
shadow = true
paused = true
delete_on_server = "when expunged"
delete_grace = "36h"
user = "ann@home+1"
folder = "inbox/Löhne"
max_message_size = "64 KiB"
address = "ann@example.com"
addresses = ["info@example.com", "Ann@example.com"]
[account.send]
host = "Smtp.example.com"
port = 2525
tls = "starttls"
username = "ann.b"
password_file = "send.password"
tls_pin = "sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
[oauth.work]
provider = "microsoft"
client_id = "id"
client_secret_file = "work.secret"
tenant = "example.com"
authorize_url = "https://login.example.com/authorize"
token_url = "https://login.example.com/token"
device_url = "https://login.example.com/device"
redirect = "http://localhost:8080"
scopes = ["mail"]
resource = "https://mail.example.com"
pkce = false
[[account]]
name = "work"
host = "Bücher.example"
tls = "none"
username = "ann"
password_command = ["pass", "show", ""]
auth = "oauth2"
poll_every = "1h30m"
keep_on_server = "below 80%"
quota = "2 TiB"
send.username = "anna"
send.password_command = ["pass", "show", "send"]
max_message_size = "4GB"
[[account]]
name = "third"
host = "outlook.office365.com"
username = "ann"
auth = "oauth2"
oauth = "work"
`

// counting is a pin with the octets 0 to 31.
var counting = Pin{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}

func TestEveryKey(t *testing.T) {
	work := OAuth{Name: "work", Provider: "microsoft", ClientID: "id", SecretFile: abs("/etc/work.secret"), Endpoints: oauth.Endpoints{
		Authorize: "https://login.example.com/authorize", Token: "https://login.example.com/token", Device: "https://login.example.com/device",
		POP: []string{"mail"}, SMTP: []string{"mail"}, Resource: "https://mail.example.com", Redirect: "http://localhost:8080"}}
	want := &Config{
		Version: 1, Path: abs("/etc/config.toml"), DataDir: abs("/etc/mail"), DataDirNamed: true,
		IMAP: IMAP{Listen: []string{"localhost:1143", "[::1]:0", "127.0.0.1:0"}, TLS: Off},
		SMTP: SMTP{Listen: []string{"localhost:1587", "127.0.0.1:0"}, TLS: Implicit, SendDelay: 10 * time.Second},
		LAN:  LAN{Enabled: true, Listen: []string{"[fd00::20]:1993", "Ethernet 2:1993"}, SMTPPort: 2465},
		Web:  Web{Listen: "127.0.0.1:1181"},
		Log:  Log{Level: "trace", Format: "json"}, KeepExpunged: 90 * day, TimeZone: "Europe/Vienna",
		Accounts: []Account{{
			Name: "home", Host: "::1", Port: 1110, TLS: StartTLS, Username: "ann", Auth: AuthAPOP,
			Password: PasswordSource{File: filepath.FromSlash("/home/ann/secret")}, CAFile: abs("/etc/ca.pem"),
			Pins: []Pin{counting, counting, counting}, TLSMinimum: TLS10,
			PollEvery: day, Keep: KeepOnServer{Rule: KeepFor, For: 30 * day}, Shadow: true, Paused: true, DeleteExpunged: true, DeleteGrace: 36 * time.Hour,
			User: "ann@home+1", Folder: "INBOX/Löhne", MaxMessageSize: 65536,
			Addresses: []string{"ann@example.com", "info@example.com"},
			Send:      Send{Host: "smtp.example.com", Port: 2525, TLS: StartTLS, Username: "ann.b", Auth: AuthPassword, Password: PasswordSource{File: abs("/etc/send.password")}, Pins: []Pin{counting}},
		}, {
			Name: "work", Host: "xn--bcher-kva.example", Port: 110, TLS: None, Username: "ann", Auth: AuthOAuth2,
			Password: PasswordSource{Command: []string{"pass", "show", ""}}, TLSMinimum: TLS12,
			PollEvery: 90 * time.Minute, Keep: KeepOnServer{Rule: KeepBelow, Percent: 80}, Quota: 2 << 40, ConfirmDeletes: true, DeleteGrace: 7 * day,
			User: "me", Folder: "INBOX", MaxMessageSize: 4_000_000_000,
			Send: Send{Username: "anna", Auth: AuthOAuth2, Password: PasswordSource{Command: []string{"pass", "show", "send"}}},
		}, {
			Name: "third", Host: "outlook.office365.com", Port: 995, TLS: Implicit, Username: "ann", Auth: AuthOAuth2, OAuth: &work, TLSMinimum: TLS12,
			PollEvery: 5 * time.Minute, ConfirmDeletes: true, DeleteGrace: 7 * day, User: "me", Folder: "INBOX", MaxMessageSize: 200_000_000, Send: Send{Auth: AuthOAuth2},
		}},
		OAuth: []OAuth{work},
	}
	got, err := ann().parse(want.Path, []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for kind, keys := range schema {
		for _, key := range keys {
			if !strings.Contains(everything, key) {
				t.Errorf("key %q of table %q is not tried", key, kind)
			}
		}
	}
	if got, want := got.Users(), []string{"ann@home+1", "me"}; !cmp.Equal(got, want) {
		t.Errorf("users %v, want %v", got, want)
	}
	if a, ok := got.Account("WORK"); !ok || a.KeychainItem() != "ann@xn--bcher-kva.example" || a.Password.InKeychain() {
		t.Errorf("account: %v %v", a, ok)
	}
	if _, ok := got.Account("none"); ok {
		t.Error("an account that is not there was found")
	}
}

func TestKeepOnServer(t *testing.T) {
	for text, want := range map[string]KeepOnServer{
		"forever":     {},
		"never":       {Rule: KeepNever},
		"30d":         {Rule: KeepFor, For: 30 * day},
		"newest 500":  {Rule: KeepNewest, Newest: 500},
		"below 80%":   {Rule: KeepBelow, Percent: 80},
		"newest 1":    {Rule: KeepNewest, Newest: 1},
		"below 99%":   {Rule: KeepBelow, Percent: 99},
		" newest  7 ": {Rule: KeepNewest, Newest: 7},
	} {
		got, m := readKeep(text)
		if m != nil || got != want {
			t.Errorf("%q: %+v, %+v", text, got, m)
		}
		if again, m := readKeep(got.String()); m != nil || again != want {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	const two = "[[account]]\nname='a'\nhost='localhost'\nusername='a@example.com'\naddresses=['c@example.com']\n[[account]]\nname='b'\nhost='pop.example.com'\n"
	for _, c := range []struct{ text, want string }{
		{"", "account: there is no account"},
		{"[[account]]\nname='a'\nhost='pop.example.com'\nusername='a'\ntls='none'", "account[1].tls: password and mail of account a"},
		{"[[account]]\nname='a'\nhost='127.0.0.1'\nusername='a'\ntls='none'", ""},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\npoll_every='1s'", "account[1].poll_every: many servers"},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\nkeep_on_server='30d'\nquota='1GB'", "account[1].quota: the quota is used for nothing"},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\ndelete_grace='3d'", "account[1].delete_grace: the grace period is used for nothing"},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\nkeep_on_server='never'\nshadow=true", "account[1].shadow: nothing is ever deleted"},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\nshadow=true", ""},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\nfolder='trash'", "account[1].folder: mail programs keep mail of their own kind"},
		{"[[account]]\nname='a'\nhost='localhost'\nusername='a'\nfolder='Trash/a'", ""},
		{two + "username='b@example.com'\naddresses=['A@Example.com']", "account[2].addresses: account \"a\" has the address \"A@Example.com\", too, and mail from it leaves by that one"},
		{two + "username='b'\naddress='c@example.com'", "account[1].addresses: account \"b\" has the address \"c@example.com\", too"}, // the own address goes first
		{two + "username='b'\naddress='a@example.com'", "account[2].address: account \"a\" has the address \"a@example.com\", too"},
		{two + "username='a@example.com'", ""},                  // nothing could be taken out
		{two + "username='b'\naddress='a+tag@example.com'", ""}, // which goes before a tag
		{two + "username='a@example.com'\nuser='b'", ""},        // mail of another user
		{two + "username='b'\naddress='b@example.com'\naddresses=['b@example.com']", ""},
	} {
		cfg, err := ann().parse("config.toml", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range cfg.Warnings() {
			got += w.Key + ": " + w.Text + "\n"
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%q\ngot  %q\nwant %q", c.text, got, c.want)
		}
	}
}

func TestDefaultPaths(t *testing.T) {
	for _, c := range []struct {
		goos, home, env    string
		configPath, dataAt string
	}{
		{"linux", "/home/ann", "", "/home/ann/.config/popbridge/config.toml", "/home/ann/.local/share/popbridge"},
		{"linux", "/home/ann", "XDG_CONFIG_HOME=/x XDG_DATA_HOME=/y", "/x/popbridge/config.toml", "/y/popbridge"},
		{"linux", "/home/ann", "XDG_CONFIG_HOME=x XDG_DATA_HOME=y", "/home/ann/.config/popbridge/config.toml", "/home/ann/.local/share/popbridge"},
		{"linux", "", "", "", ""},
		{"darwin", "/Users/ann", "XDG_CONFIG_HOME=/x", "/Users/ann/Library/Application Support/popbridge/config.toml", "/Users/ann/Library/Application Support/popbridge"},
		{"darwin", "", "", "", ""},
		{"windows", `C:\Users\ann`, `AppData=C:\R LocalAppData=C:\L`, `C:\R\popbridge\config.toml`, `C:\L\popbridge`},
		{"windows", `C:\Users\ann`, "", "", ""},
	} {
		s := ann(strings.Fields(c.env)...)
		s.goos, s.home = c.goos, c.home
		if got := s.configPath(); got != c.configPath {
			t.Errorf("%s %q: config %q, want %q", c.goos, c.env, got, c.configPath)
		}
		if got := s.dataDir(); got != c.dataAt {
			t.Errorf("%s %q: data %q, want %q", c.goos, c.env, got, c.dataAt)
		}
	}
	homeless := ann()
	homeless.home = ""
	_, err := homeless.parse("config.toml", []byte("[[account]]\nname='a'\nhost='b'\nusername='c'\npassword_file='~/x'"))
	if e, ok := errors.AsType[*Errors](err); !ok || len(e.Problems) != 2 {
		t.Errorf("without a home folder: %v", err)
	}
}

// What is known of a data folder from outside is never in it.
func TestStateDir(t *testing.T) {
	for _, c := range []struct{ goos, home, env, want string }{
		{"linux", "/home/ann", "", "/home/ann/.local/state/popbridge"},
		{"linux", "/home/ann", "XDG_STATE_HOME=/z", "/z/popbridge"},
		{"linux", "/home/ann", "XDG_STATE_HOME=z", "/home/ann/.local/state/popbridge"},
		{"linux", "/home/ann", "STATE_DIRECTORY=/var/lib/popbridge:/var/lib/other XDG_STATE_HOME=/z", "/var/lib/popbridge"},
		{"linux", "", "", "/etc/popbridge"},
		{"darwin", "/Users/ann", "", "/Users/ann/Library/Application Support/popbridge-state"},
		{"windows", "", "", "/etc/popbridge"},
		{"windows", `C:\Users\ann`, `LocalAppData=C:\L`, `C:\L\popbridge-state`},
	} {
		s := ann(strings.Fields(c.env)...)
		s.goos, s.home = c.goos, c.home
		if got := s.stateDir("/etc/popbridge/config.toml"); got != c.want {
			t.Errorf("%s %q: state %q, want %q", c.goos, c.env, got, c.want)
		}
	}
}
