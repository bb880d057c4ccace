package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

const edited = `version = 1 # of the file

[imap]
listen = ["127.0.0.1:1143"]

# The mail of Ann.
[[account]]
  name     = "home" # short
  host     = "pop.example.com"
  username = 'ann@example.com'
  password_command = [ # what prints it
    "pass", # a ] in a comment
    "show", "home]", '''a"]''',
  ] # the end
  poll_every = "5m"   # often
  # quota = "1GB"

# At work; slow.
[[account]]
name = "work"
host = "pop.example.org"
username = "a"
`

func TestSetAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		account  string
		settings []string
		from, to string // the one change of the text
	}{
		"value":                 {"home", []string{"poll_every=10m"}, `"5m"   # often`, `"10m"   # often`},
		"list":                  {"home", []string{`password_command=["x"]`}, edited[strings.Index(edited, "[ # what") : strings.Index(edited, "] # the")+1], `["x"]`},
		"default":               {"work", []string{"username="}, "username = \"a\"\n", ""},
		"default, with comment": {"home", []string{"poll_every="}, "  poll_every", "  # poll_every"},
		"list, default": {"home", []string{"password_command="},
			edited[strings.Index(edited, "  password_command"):strings.Index(edited, "  poll_every")],
			"  # password_command = [ # what prints it\n    # \"pass\", # a ] in a comment\n    # \"show\", \"home]\", '''a\"]''',\n  # ] # the end\n"},
		"new key": {"home", []string{"port=1995"}, "# often\n", "# often\n  port       = 1995\n"},
		"at the end": {"work", []string{"shadow=true", "folder=Work/é"}, "username = \"a\"\n",
			"username = \"a\"\nshadow   = true\nfolder   = \"Work/é\"\n"},
		"the way out":        {"work", []string{"send.host=smtp.example.org", "send.port=2525"}, "username = \"a\"\n", "username = \"a\"\nsend.host = \"smtp.example.org\"\nsend.port = 2525\n"},
		"literal":            {"home", []string{"username=a\\b'c"}, `'ann@example.com'`, `"a\\b'c"`},
		"path of Windows":    {"work", []string{`password_file=C:\x y`}, "username = \"a\"\n", "username = \"a\"\npassword_file = 'C:\\x y'\n"},
		"text with brackets": {"work", []string{"folder=[Gmail]/All"}, "username = \"a\"\n", "username = \"a\"\nfolder   = \"[Gmail]/All\"\n"},
		"quotes of the file": {"home", []string{`poll_every = "10m"`}, `"5m"   # often`, `"10m"   # often`},
		"a key that is none": {"work", []string{"port="}, "", ""},
		"name, then another": {"work", []string{"name=office", "user=bob"}, "name = \"work\"\nhost = \"pop.example.org\"\nusername = \"a\"\n",
			"name = \"office\"\nhost = \"pop.example.org\"\nusername = \"a\"\nuser     = \"bob\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var settings []config.Setting
			for _, s := range tt.settings {
				settings = append(settings, done(config.ParseSetting(s))(t))
			}
			for _, end := range []string{"\n", "\r\n"} {
				for _, mark := range []string{"", "\ufeff"} {
					with := func(s string) string { return mark + strings.ReplaceAll(s, "\n", end) }
					got := done(config.SetAccount([]byte(with(edited)), tt.account, settings))(t)
					if want := with(strings.Replace(edited, tt.from, tt.to, 1)); string(got) != want {
						t.Errorf("with %q at the end of lines:\n%s\nwant:\n%s", end, got, want)
					}
				}
			}
		})
	}
}

// The keys of [account.send] are the same written as a table and with dots.
func TestSetSend(t *testing.T) {
	const text = "[[account]]\nname = \"a\"\n\n  [account.send] # the way out\n  host = \"x\" # old\n\n[[account]]\nname = \"b\"\nsend.host = \"y\"\n[log]\n"
	want := strings.NewReplacer("\"x\" # old\n", "\"z\" # old\n  port = 25\n", "name = \"a\"\n", "name = \"a\"\nuser = \"c\"\n", "\"y\"", "\"w\"").Replace(text)
	got := []byte(text)
	for _, s := range []struct{ account, setting string }{{"a", "send.host=z"}, {"a", "send.port=25"}, {"a", "user=c"}, {"b", "send.host=w"}} {
		got = done(config.SetAccount(got, s.account, []config.Setting{done(config.ParseSetting(s.setting))(t)}))(t)
	}
	if string(got) != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
	got = done(config.SetAccount(got, "a", []config.Setting{{Key: "send.port"}}))(t)
	if strings.Contains(string(got), "port") {
		t.Errorf("%s", got)
	}
	for _, s := range []config.Setting{config.Text("send.host", "z"), {Key: "send.host"}} {
		if _, err := config.SetAccount([]byte("[[account]]\nname = \"a\"\nsend = { host = \"x\" }\n"), "a", []config.Setting{s}); err == nil || fault.Hint(err) == "" {
			t.Errorf("%v in a table of one line: %v", s, err)
		}
	}
}

func TestRemoveAccount(t *testing.T) {
	home, work := strings.Index(edited, "# The mail of Ann."), strings.Index(edited, "# At work")
	for name, want := range map[string]string{"home": edited[:home] + edited[work:], "work": edited[:work-1]} {
		if got := done(config.RemoveAccount([]byte(edited), name))(t); string(got) != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

// The last line of a text of several lines is no comment, whatever it begins with.
func TestTextOfSeveralLinesIsNoComment(t *testing.T) {
	const first = "[[account]]\nname = \"a\"\nhost = \"h\"\nusername = '''\n# u'''\n"
	const second = "[[account]]\nname = \"b\"\n"
	for name, want := range map[string]string{"a": "# b\n" + second, "b": first} {
		if got := done(config.RemoveAccount([]byte(first+"# b\n"+second), name))(t); string(got) != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
	if got := done(config.RemoveAccount([]byte(first+second), "b"))(t); string(got) != first {
		t.Errorf("b:\n%s\nwant:\n%s", got, first)
	}
}

// What stands apart from an account is not its own.
func TestRemoveAccountLeavesOtherComments(t *testing.T) {
	const text = "version = 1\n\n[[account]]\nname = \"a\"\n# quota = \"1GB\"\n\n# [[account]]  # the old one\n# name = \"old\"\n\n# of the log\n\n[log]\nlevel = \"info\"\n# the end\n"
	want := strings.Replace(text, "[[account]]\nname = \"a\"\n# quota = \"1GB\"\n\n", "", 1)
	if got := done(config.RemoveAccount([]byte(text), "a"))(t); string(got) != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

func TestAddAccount(t *testing.T) {
	settings := []config.Setting{config.Text("name", "new"), config.Text("host", "h"), config.Text("username", "a \"b\"\t")}
	const block = "[[account]]\nname     = \"new\"\nhost     = \"h\"\nusername = \"a \\\"b\\\"\\u0009\"\n"
	for text, want := range map[string]string{
		"":                            "version = 1\n\n" + block,
		"version = 1":                 "version = 1\n\n" + block,
		edited:                        edited + "\n" + block,
		"version = 1\r\n[log]\r\n":    strings.ReplaceAll("version = 1\n[log]\n\n"+block, "\n", "\r\n"),
		"\ufeffversion = 1\n":         "\ufeffversion = 1\n\n" + block,
		"version = 1\n# the last one": "version = 1\n# the last one\n\n" + block,
	} {
		if got := string(done(config.AddAccount([]byte(text), settings))(t)); got != want {
			t.Errorf("%q:\n%q\nwant:\n%q", text, got, want)
		}
	}
}

func TestAccountsThatCannotBeChanged(t *testing.T) {
	set := []config.Setting{{Key: "port", Value: "995"}}
	for text, want := range map[string]string{
		"account = [{name = \"a\"}]\n":    "not written as tables",
		"[[account]]\nname = \"homer\"\n": "did you mean homer",
		"[imap]\naccount = 1\n":           `no account "home"`,
	} {
		_, err := config.SetAccount([]byte(text), "home", set)
		if _, add := config.AddAccount([]byte(text), set); strings.HasPrefix(text, "account") && (add == nil || add.Error() != err.Error()) {
			t.Errorf("%q: another account: %v", text, add)
		}
		if err == nil || !strings.Contains(err.Error()+fault.Hint(err), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := config.SetAccount([]byte(edited), "home", append(set, set...)); err == nil || err.Error() != "port is given twice" {
		t.Errorf("the same key twice: %v", err)
	}
	for _, s := range []string{"port", "=1", "prot=1", "", "paused=true\n[log]\nlevel=\"trace\"", "port=1 # x", "password_command=[1]\nx=1", "port=eins", "username=m\xfcller", "password=x", "pwd=x"} {
		if _, err := config.ParseSetting(s); err == nil {
			t.Errorf("%q is taken for a setting", s)
		}
	}
}

// What is set is what the file says then; every other account and all comments stay.
func FuzzEdit(f *testing.F) {
	f.Add([]byte(edited), "poll_every", "7m")
	f.Add([]byte(config.Example), "port", "995")
	f.Add([]byte("[[account]]\nname='a'\nhost=\"\"\"\nh\"\"\"\nusername=\"u\""), "folder", "x\u007f\"'\\")
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		before, err := config.Parse("config.toml", data)
		if err != nil || len(before.Accounts) == 0 {
			return
		}
		s, err := config.ParseSetting(key + "=" + value)
		if err != nil {
			return
		}
		a := before.Accounts[len(before.Accounts)-1]
		text, err := config.SetAccount(data, a.Name, []config.Setting{s})
		if err != nil {
			return // accounts that are no tables
		}
		if bytes.Count(text, []byte("#")) < bytes.Count(data, []byte("#"))-bytes.Count([]byte(value), []byte("#")) && s.Value != "" && !bytes.Contains(data, []byte("[")) {
			t.Errorf("a comment went:\n%s", text)
		}
		after, err := config.Parse("config.toml", text)
		if err != nil {
			return // the value is none of this key
		}
		if len(after.Accounts) != len(before.Accounts) || len(before.Accounts) > 1 && !reflect.DeepEqual(before.Accounts[:len(before.Accounts)-1], after.Accounts[:len(before.Accounts)-1]) {
			t.Errorf("another account has changed:\n%s\n%s", data, text)
		}
		less, err := config.RemoveAccount(text, after.Accounts[len(after.Accounts)-1].Name)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := config.Parse("config.toml", less)
		if err != nil || len(rest.Accounts) != len(before.Accounts)-1 {
			t.Errorf("after removal: %v\n%s", err, less)
		}
	})
}

func done[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestEdit(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "new", "config.toml"), filepath.Join(dir, "link.toml")
	account := []config.Setting{config.Text("name", "home"), config.Text("host", "h"), config.Text("username", "u")}
	add := func(text []byte) ([]byte, error) { return config.AddAccount(text, account) }
	cfg := done(config.Edit(path, add))(t)
	if len(cfg.Accounts) != 1 || cfg.Accounts[0].Host != "h" {
		t.Errorf("accounts are %v", cfg.Accounts)
	}
	before := done(os.ReadFile(path))(t)
	// A second account of the same name: the file stays, and no line of it is named.
	if _, err := config.Edit(path, add); err == nil || !strings.HasPrefix(err.Error(), `name: "home" is also the name of account[1]`) {
		t.Errorf("the same account again: %v", err)
	}
	if now := done(os.ReadFile(path))(t); !bytes.Equal(now, before) {
		t.Errorf("the file has changed:\n%s", now)
	}
	if runtime.GOOS == "windows" {
		return // links want a privilege there, and modes are none
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	done(config.Edit(link, func(text []byte) ([]byte, error) {
		return config.SetAccount(text, "home", []config.Setting{{Key: "port", Value: "1995"}})
	}))(t)
	if info := done(os.Lstat(link))(t); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}
	if info := done(os.Stat(path))(t); info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v", info.Mode())
	}
	if now := done(os.ReadFile(path))(t); !bytes.Contains(now, []byte("port     = 1995")) {
		t.Errorf("the file is\n%s", now)
	}
}

// Plan finds what Edit would fail by, and writes nothing.
func TestPlan(t *testing.T) {
	dir := t.TempDir()
	add := func(text []byte) ([]byte, error) { return config.AddAccount(text, nil) }
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link.toml")
	if err := os.Symlink(filepath.Join(dir, "away", "config.toml"), link); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	cases := map[string]string{
		filepath.Join(dir, "new", "deep", "config.toml"):            "",
		write("good.toml", "version = 1\n"):                         "",
		write("broken.toml", "version = 1\nimap = 3\n"):             "broken.toml:2: imap: is a whole number",
		write("inline.toml", "account = []\n"):                      "are not written as tables",
		write("latin.toml", "data_dir = \"m\xfcll\"\n"):             "latin.toml:1: the file is not UTF-8",
		write("none.toml", "[[account]]\nname = \"a\"\nhost = 1\n"): "account[1].host: is a whole number",
	}
	if runtime.GOOS != "windows" {
		cases[filepath.Join(dir, "good.toml", "config.toml")] = "not a directory"
		cases[link] = "is a link to " + filepath.Join(dir, "away")
	}
	for path, want := range cases {
		_, err := config.Plan(path, add)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || fault.Hint(err) == "") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if left := done(os.ReadDir(dir))(t); len(left) > 6 {
		t.Errorf("left: %v", left)
	}
}

// What is wrong with a new text names the key, as no line of it was written.
func TestErrorsOfATextThatIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	_, err := config.Plan(path, func(text []byte) ([]byte, error) {
		return config.AddAccount(text, []config.Setting{config.Text("name", "home"), config.Text("host", "a b"), config.Text("username", "u"), {Key: "port", Value: "0"}})
	})
	if want := "host: \"a b\" is not the name of a server\nport: 0 is not a port (1 to 65535)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = config.Plan(path, func(text []byte) ([]byte, error) {
		return config.AddAccount(text, []config.Setting{config.Text("name", "home"), config.Text("username", "m\xfcller")})
	})
	if err == nil || err.Error() != "username is not UTF-8 text" {
		t.Errorf("not UTF-8: %v", err)
	}
}

// Of edits at the same time none is lost that was not refused.
func TestEditsAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	for round := range 10 {
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				name := fmt.Sprintf("a%d-%d", round, n)
				add := func(text []byte) ([]byte, error) {
					return config.AddAccount(text, []config.Setting{config.Text("name", name), config.Text("host", "pop.example.com"), config.Text("username", name)})
				}
				_, err := config.Edit(path, add)
				for fault.Is(err, fault.Conflict) {
					_, err = config.Edit(path, add)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	cfg, err := config.Load(path)
	if err != nil || len(cfg.Accounts) != 80 {
		t.Errorf("%d accounts of 80, %v", len(cfg.Accounts), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 { // with the .bak
		t.Errorf("%v, %v", left, err)
	}
	if cfg, err := config.Load(path + config.BackupSuffix); err != nil || len(cfg.Accounts) != 79 {
		t.Errorf("the file of before: %+v, %v", cfg, err)
	}
}
