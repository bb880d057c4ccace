package cli

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/config"
)

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
