package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
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
		"value":   {"home", []string{"poll_every=10m"}, `"5m"   # often`, `"10m"   # often`},
		"list":    {"home", []string{`password_command=["x"]`}, edited[strings.Index(edited, "[ # what") : strings.Index(edited, "] # the")+1], `["x"]`},
		"default": {"home", []string{"poll_every="}, "  poll_every = \"5m\"   # often\n", ""},
		"list, default": {"home", []string{"password_command="},
			edited[strings.Index(edited, "  password_command") : strings.Index(edited, "# the end")+len("# the end\n")], ""},
		"new key": {"home", []string{"port=1995"}, "# often\n", "# often\n  port       = 1995\n"},
		"at the end": {"work", []string{"shadow=true", "folder=Work/é"}, "username = \"a\"\n",
			"username = \"a\"\nshadow   = true\nfolder   = \"Work/é\"\n"},
		"literal":            {"home", []string{"username=a\\b'c"}, `'ann@example.com'`, `"a\\b'c"`},
		"path of Windows":    {"work", []string{`password_file=C:\x y`}, "username = \"a\"\n", "username = \"a\"\npassword_file = 'C:\\x y'\n"},
		"text with brackets": {"work", []string{"folder=[Gmail]/All"}, "username = \"a\"\n", "username = \"a\"\nfolder   = \"[Gmail]/All\"\n"},
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

func TestRemoveAccount(t *testing.T) {
	home, work := strings.Index(edited, "# The mail of Ann."), strings.Index(edited, "# At work")
	for name, want := range map[string]string{"home": edited[:home] + edited[work:], "work": edited[:work-1]} {
		if got := done(config.RemoveAccount([]byte(edited), name))(t); string(got) != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
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
		if got := string(config.AddAccount([]byte(text), settings)); got != want {
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
		if err == nil || !strings.Contains(err.Error()+fault.Hint(err), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for _, s := range []string{"port", "=1", "prot=1", "", "paused=true\n[log]\nlevel=\"trace\"", "port=1 # x", "password_command=[1]\nx=1", "port=eins"} {
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
	add := func(text []byte) ([]byte, error) { return config.AddAccount(text, account), nil }
	cfg := done(config.Edit(path, add))(t)
	if len(cfg.Accounts) != 1 || cfg.Accounts[0].Host != "h" {
		t.Errorf("accounts are %v", cfg.Accounts)
	}
	before := done(os.ReadFile(path))(t)
	// A second account of the same name is an error of the file, which stays.
	if _, err := config.Edit(path, add); err == nil || !strings.Contains(err.Error(), "also the name of") {
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
