package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/oauth"
)

// Whose sign-in is kept, from another account or a former one, is not asked to sign in.
func TestToldOfASignInThatIsKept(t *testing.T) {
	dir := t.TempDir()
	a := &app{configPath: filepath.Join(dir, "config.toml")}
	text := "version = 1\ndata_dir = \"data\"\n[oauth.microsoft]\nclient_id = \"x\"\n"
	for _, name := range []string{"home", "work"} {
		text += "[[account]]\nname = \"" + name + "\"\nhost = \"outlook.office365.com\"\nusername = \"" + name + "@outlook.com\"\nuser = \"ann\"\nauth = \"oauth2\"\n"
	}
	if err := os.WriteFile(a.configPath, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(a.configPath)
	if err != nil {
		t.Fatal(err)
	}
	home, work := cfg.Accounts[0], cfg.Accounts[1]
	if _, err := signin.New(cfg.DataDir, zerolog.Nop(), a.command).Keep(t.Context(), home, oauth.Token{Access: "a", Refresh: "r"}); err != nil {
		t.Fatal(err)
	}
	for want, told := range map[string][2]config.Account{
		"Account home uses the sign-in of home@outlook.com that is kept.":                       {work, home},
		"It has to be signed in: popbridge account signin work --config " + a.configPath + "\n": {home, work},
	} {
		if got := strings.Join(a.told(told[0], told[1]), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s\nwant: %s", got, want)
		}
	}
}

// What a change means for the mail is said with it.
func TestToldOfAChange(t *testing.T) {
	const text = "[[account]]\nname = \"home\"\nhost = \"pop.example.com\"\nusername = \"ann\"\nuser = \"ann\"\n"
	for settings, want := range map[string]string{
		"poll_every=10m":                 "",
		"name=office":                    "It is the same mailbox",
		"user=bob":                       "stays with user ann. If there is any, it is polled for user bob only after: popbridge account confirm home",
		"folder=Work":                    "New mail goes to folder Work; what is here stays in INBOX.",
		"username=bob":                   "looked for in the keychain as bob@pop.example.com; where it is not there yet: popbridge account password home",
		"host=pop.example.org":           "nothing is deleted there before",
		"port=1995":                      "popbridge account test home",
		"password_file=x":                "Its former password stays in the keychain, if it is there, as ann@pop.example.com.",
		"keep_on_server=30d":             "it waits for: popbridge account confirm home",
		"delete_on_server=when expunged": "it waits for: popbridge account confirm home",
		"keep_on_server=30d shadow=true": "",
		"keep_on_server=never confirm_deletes=false": "deleted on its server at the next poll, without being confirmed",
	} {
		path := t.TempDir() + "/config.toml"
		before, err := config.Parse(path, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var list []config.Setting
		for _, word := range strings.Split(strings.ReplaceAll(settings, "when expunged", "when_expunged"), " ") {
			s, err := config.ParseSetting(strings.ReplaceAll(word, "_expunged", " expunged"))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		changed, err := config.SetAccount([]byte(text), "home", list)
		if err != nil {
			t.Fatal(err)
		}
		after, err := config.Parse(path, changed)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join((&app{}).told(before.Accounts[0], after.Accounts[0]), "\n")
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s:\n%s\nwant: %s", settings, got, want)
		}
	}
}
