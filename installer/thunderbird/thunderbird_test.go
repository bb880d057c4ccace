package thunderbird

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/installer/mozilla"
	"github.com/popbridge/popbridge/internal/fault"
)

var ann = clientfiles.Mailbox{
	User: `ann"\ö`, Host: "127.0.0.1", Port: 1143, TLS: discover.StartTLS,
	Identities: []clientfiles.Identity{
		{Address: "ann@gmx.de", SMTP: discover.Server{Host: "mail.gmx.net", Port: 465, TLS: discover.Implicit, Username: "ann@gmx.de"}},
		{Address: "ann@example.com"},
		{Address: "ann@web.de", SMTP: discover.Server{Host: "smtp.web.de", Port: 25, TLS: discover.None}},
	},
}

// existing is what Thunderbird 153 writes for a POP3 account.
const existing = `// Mozilla User Preferences

user_pref("app.update.lastUpdateTime.x", 1795000000);
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account4.identities", "id3");
user_pref("mail.account.account4.server", "server5");
user_pref("mail.account.lastKey", 4);
user_pref("mail.accountmanager.accounts", "account1,account4");
user_pref("mail.accountmanager.defaultaccount", "account4");
user_pref("mail.identity.id3.fullName", "Ann \"A\" \\ Ö");
user_pref("mail.server.server1.type", "none");
user_pref("mail.server.server5.hostname", "pop.gmx.net");
user_pref("mail.server.server5.name", "ann@gmx.de");
user_pref("mail.server.server5.type", "pop3");
user_pref("mail.smtp.defaultserver", "smtp2");
user_pref("mail.smtpserver.smtp2.hostname", "mail.gmx.net");
user_pref("mail.smtpservers", "smtp2");`

func TestAddsToWhatIsThere(t *testing.T) {
	c, err := change(existing, ann)
	if err != nil || !c.New || c.There || !cmp.Equal(c.POP, []string{"ann@gmx.de"}) {
		t.Fatalf("%+v, %v", c, err)
	}
	added, ok := strings.CutPrefix(string(c.text), existing+"\n")
	if !ok {
		t.Fatalf("what was there has changed: %s", c.text)
	}
	want := `user_pref("mail.server.server6.type", "imap");
user_pref("mail.server.server6.hostname", "127.0.0.1");
user_pref("mail.server.server6.port", 1143);
user_pref("mail.server.server6.userName", "ann\"\\ö");
user_pref("mail.server.server6.socketType", 2);
user_pref("mail.server.server6.authMethod", 3);
user_pref("mail.server.server6.name", "popbridge");
user_pref("mail.server.server6.check_new_mail", true);
user_pref("mail.server.server6.login_at_startup", true);
user_pref("mail.account.account5.server", "server6");
user_pref("mail.accountmanager.accounts", "account1,account4,account5");
user_pref("mail.account.lastKey", 5);
user_pref("mail.identity.id4.fullName", "");
user_pref("mail.identity.id4.useremail", "ann@gmx.de");
user_pref("mail.identity.id4.reply_on_top", 1);
user_pref("mail.identity.id4.valid", true);
user_pref("mail.identity.id4.draft_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Drafts");
user_pref("mail.identity.id4.fcc_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Sent");
user_pref("mail.identity.id4.smtpServer", "smtp3");
user_pref("mail.smtpserver.smtp3.type", "smtp");
user_pref("mail.smtpserver.smtp3.hostname", "mail.gmx.net");
user_pref("mail.smtpserver.smtp3.port", 465);
user_pref("mail.smtpserver.smtp3.try_ssl", 3);
user_pref("mail.smtpserver.smtp3.authMethod", 3);
user_pref("mail.smtpserver.smtp3.description", "ann@gmx.de");
user_pref("mail.smtpserver.smtp3.username", "ann@gmx.de");
user_pref("mail.identity.id5.fullName", "");
user_pref("mail.identity.id5.useremail", "ann@example.com");
user_pref("mail.identity.id5.reply_on_top", 1);
user_pref("mail.identity.id5.valid", true);
user_pref("mail.identity.id5.draft_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Drafts");
user_pref("mail.identity.id5.fcc_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Sent");
user_pref("mail.identity.id6.fullName", "");
user_pref("mail.identity.id6.useremail", "ann@web.de");
user_pref("mail.identity.id6.reply_on_top", 1);
user_pref("mail.identity.id6.valid", true);
user_pref("mail.identity.id6.draft_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Drafts");
user_pref("mail.identity.id6.fcc_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Sent");
user_pref("mail.identity.id6.smtpServer", "smtp4");
user_pref("mail.smtpserver.smtp4.type", "smtp");
user_pref("mail.smtpserver.smtp4.hostname", "smtp.web.de");
user_pref("mail.smtpserver.smtp4.port", 25);
user_pref("mail.smtpserver.smtp4.try_ssl", 0);
user_pref("mail.smtpserver.smtp4.authMethod", 1);
user_pref("mail.smtpserver.smtp4.description", "ann@web.de");
user_pref("mail.account.account5.identities", "id4,id5,id6");
user_pref("mail.smtpservers", "smtp2,smtp3,smtp4");
`
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// The same again adds nothing; another port is taken over, and nothing else.
	if again, err := change(string(c.text), ann); err != nil || !again.There {
		t.Errorf("again: %+v, %v", again, err)
	}
	moved := ann
	moved.Host, moved.Port, moved.TLS = "localhost", 993, discover.Implicit
	again, err := change(string(c.text), moved)
	want = `user_pref("mail.server.server6.hostname", "localhost");
user_pref("mail.server.server6.port", 993);
user_pref("mail.server.server6.socketType", 3);
user_pref("mail.identity.id4.draft_folder", "imap://ann%22%5C%C3%B6@localhost/Drafts");
user_pref("mail.identity.id4.fcc_folder", "imap://ann%22%5C%C3%B6@localhost/Sent");
user_pref("mail.identity.id5.draft_folder", "imap://ann%22%5C%C3%B6@localhost/Drafts");
user_pref("mail.identity.id5.fcc_folder", "imap://ann%22%5C%C3%B6@localhost/Sent");
user_pref("mail.identity.id6.draft_folder", "imap://ann%22%5C%C3%B6@localhost/Drafts");
user_pref("mail.identity.id6.fcc_folder", "imap://ann%22%5C%C3%B6@localhost/Sent");
`
	if got := strings.TrimPrefix(string(again.text), string(c.text)); err != nil || again.New || got != want {
		t.Errorf("another port: %v, %s", err, got)
	}
	more := ann
	more.Identities = append(slices.Clone(ann.Identities), clientfiles.Identity{Address: "a@b.example"})
	again, err = change(string(c.text), more)
	want = `user_pref("mail.identity.id7.fullName", "");
user_pref("mail.identity.id7.useremail", "a@b.example");
user_pref("mail.identity.id7.reply_on_top", 1);
user_pref("mail.identity.id7.valid", true);
user_pref("mail.identity.id7.draft_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Drafts");
user_pref("mail.identity.id7.fcc_folder", "imap://ann%22%5C%C3%B6@127.0.0.1/Sent");
user_pref("mail.account.account5.identities", "id4,id5,id6,id7");
`
	if got := strings.TrimPrefix(string(again.text), string(c.text)); err != nil || again.New || got != want {
		t.Errorf("another address: %v, %s", err, got)
	}
	other := ann
	other.User = "bob"
	if c, err := change(string(c.text), other); err != nil || !c.New {
		t.Errorf("another user: %+v, %v", c, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := At(dir); !fault.Is(err, fault.NotFound) || fault.Hint(err) == "" {
		t.Errorf("no profile: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "prefs.js"), []byte(existing), 0o600))
	p, err := At(dir)
	must(t, err)
	bare := ann
	bare.Identities = nil
	if _, err := p.Plan(bare); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
		t.Errorf("no address: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "user.js"), []byte("user_pref('mail.accountmanager.accounts', 'account1');\n"), 0o600))
	if _, err := p.Plan(ann); !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "user.js") {
		t.Errorf("user.js with accounts: %v", err)
	}
}

func TestAddKeepsACopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a profile")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "prefs.js"), []byte(existing), 0o600))
	p, err := At(dir)
	must(t, err)
	c, err := p.Plan(ann)
	must(t, err)
	must(t, p.Add(c))
	copied, err := os.ReadFile(c.Copy)
	if err != nil || string(copied) != existing {
		t.Errorf("the copy: %v, %s", err, copied)
	}
	if c, err = p.Plan(ann); err != nil || !c.There {
		t.Errorf("the second time: %+v, %v", c, err)
	}
	must(t, p.Add(c))
	if copied, err := os.ReadFile(filepath.Join(dir, Backup)); err != nil || string(copied) != existing {
		t.Errorf("the copy was replaced: %v, %s", err, copied)
	}
}

func TestDefaultOfHome(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the folders of Linux")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	root := filepath.Join(home, "snap", "thunderbird", "common", ".thunderbird")
	must(t, os.MkdirAll(filepath.Join(root, "x"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, "profiles.ini"), []byte("[Profile0]\nPath=x\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(root, "x", "prefs.js"), nil, 0o600))
	if p, err := Default(); err != nil || p.New || p.Dir != filepath.Join(root, "x") {
		t.Errorf("%+v, %v", p, err)
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"SUDO_USER", "DOAS_USER"} {
			t.Setenv(name, "ann")
			if p, err := Default(); !fault.Is(err, fault.Denied) {
				t.Errorf("with %s: %+v, %v", name, p, err)
			}
			t.Setenv(name, "")
		}
		const nobody = 65534
		must(t, os.Chown(filepath.Join(root, "x", "prefs.js"), nobody, nobody))
		if p, err := At(filepath.Join(root, "x")); !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
			t.Errorf("of another user: %+v, %v", p, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(root, "profiles.ini"), []byte("[Profile0]\nPath=x\n[Profile1]\nPath=y\n"), 0o600))
	if p, err := Default(); !fault.Is(err, fault.NotFound) {
		t.Errorf("two profiles, and none marked: %+v, %v", p, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A profile that is made is the one that Thunderbird starts with, also where the first
// try was cut off in the middle.
func TestNewProfile(t *testing.T) {
	root := filepath.Join(t.TempDir(), ".thunderbird")
	p := Profile{Dir: filepath.Join(root, "popbridge"), New: true, root: root, program: "/usr/lib/thunderbird"}
	for range 2 {
		c, err := p.Plan(ann)
		must(t, err)
		must(t, p.Add(c))
		list, err := mozilla.Folder{Program: mozilla.Thunderbird, Dir: root}.Profiles()
		must(t, err)
		if len(list) != 1 || !list[0].Default || list[0].Dir != p.Dir || c.Copy != "" {
			t.Errorf("it starts with %v, %+v", list, c)
		}
		must(t, os.Remove(filepath.Join(root, "profiles.ini")))
	}
}

// FuzzChange holds that nothing that is set is lost, whatever the file has, and that
// the same account is not added twice.
func FuzzChange(f *testing.F) {
	f.Add(existing)
	f.Add("")
	f.Add(`pref ( "a" , 'b\'' ) ;user_pref("mail.accountmanager.accounts", "");`)
	f.Add(`user_pref("mail.server.server9999999999.x", -1); /* user_pref("a", true); */`)
	f.Fuzz(func(t *testing.T, old string) {
		c, err := change(old, ann)
		if err != nil || c.There {
			return
		}
		if !strings.HasPrefix(string(c.text), old) {
			t.Fatal("what was there has changed")
		}
		before, after := parsePrefs([]byte(old)), parsePrefs(c.text)
		if c.New {
			for _, list := range []string{accountList, smtpList} {
				was, _ := before[list].(string)
				is, _ := after[list].(string)
				if !strings.HasPrefix(is, was) {
					t.Fatalf("%s was %q, is %q", list, was, is)
				}
				delete(before, list)
			}
			delete(before, "mail.account.lastKey")
			for name, value := range maps.All(before) {
				if after[name] != value {
					t.Fatalf("%s was %v, is %v", name, value, after[name])
				}
			}
		}
		if again, err := change(string(c.text), ann); err != nil || !again.There {
			t.Fatalf("a second time: %+v, %v", again, err)
		}
	})
}
