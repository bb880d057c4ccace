package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

const keyed = `# The config of Ann.
version = 1 # of the file
keep_expunged  = "60d"   # two months

# who connects
[imap]
listen = ["127.0.0.1:1143"]

[log] # loud
  level  = 'debug' # for now

[[account]]
name = "home"
host = "pop.example.com"
username = "a"
level = 1
`

func TestSetKeys(t *testing.T) {
	const dotted = "log.level = \"warn\" # quiet\n\n[imap]\n"
	for name, tt := range map[string]struct {
		text       string
		key, value string
		from, to   string // the one change of the text
	}{
		"value":                    {keyed, "keep_expunged", "90d", `"60d"`, `"90d"`},
		"value in a table":         {keyed, "log.level", "warn", `'debug'`, `"warn"`},
		"default, with comment":    {keyed, "keep_expunged", "", "keep_expunged", "# keep_expunged"},
		"default in a table":       {keyed, "log.level", "", "  level  = 'debug'", "  # level  = 'debug'"},
		"new key":                  {keyed, "notices", "false", "# two months\n", "# two months\nnotices        = false\n"},
		"new key in a table":       {keyed, "log.format", "json", "# for now\n", "# for now\n  format = \"json\"\n"},
		"new table":                {keyed, "web.listen", "off", "level = 1\n", "level = 1\n\n[web]\nlisten = \"off\"\n"},
		"a key that is none":       {keyed, "timezone", "", "", ""},
		"dotted":                   {dotted, "log.level", "info", `"warn"`, `"info"`},
		"new dotted":               {dotted, "log.format", "json", "# quiet\n", "# quiet\nlog.format = \"json\"\n"},
		"before the first table":   {"# of Ann\n[imap]\n", "timezone", "Asia/Tokyo", "# of Ann", "timezone = \"Asia/Tokyo\"\n# of Ann"},
		"nothing":                  {"", "notices", "false", "", "notices = false\n"},
		"inside one line":          {"imap = {listen = [\"127.0.0.1:1143\"]}\n", "log.level", "info", "]}\n", "]}\n\n[log]\nlevel = \"info\"\n"},
		"text that breaks a table": {keyed, "timezone", "a\"\n[x]", "# two months\n", "# two months\ntimezone       = \"a\\\"\\u000A[x]\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := done(config.KeySetting(tt.key, tt.value))(t)
			for _, end := range []string{"\n", "\r\n"} {
				for _, mark := range []string{"", "\ufeff"} {
					if tt.text == "" && end == "\r\n" {
						continue // it has no ends of lines
					}
					with := func(s string) string { return mark + strings.ReplaceAll(s, "\n", end) }
					got := done(config.SetKeys([]byte(with(tt.text)), []config.Setting{s}))(t)
					if want := with(strings.Replace(tt.text, tt.from, tt.to, 1)); string(got) != want {
						t.Errorf("with %q at the end of lines:\n%q\nwant:\n%q", end, got, want)
					}
				}
			}
		})
	}
	for _, s := range []config.Setting{config.Text("log.format", "json"), {Key: "log.level"}} { // a default, too
		if _, err := config.SetKeys([]byte("log = {level = \"info\"}\n"), []config.Setting{s}); err == nil || !strings.Contains(err.Error(), "in one line") {
			t.Errorf("%v: %v", s, err)
		}
	}
	if _, err := config.KeySetting("log.lvl", "x"); !fault.Is(err, fault.Config) {
		t.Errorf("an unknown key: %v", err)
	}
}

// A key is set, and all else stays: every byte but those of the value or the new lines.
func FuzzSetKeys(f *testing.F) {
	f.Add([]byte(keyed), uint8(2), "Europe/Vienna")
	f.Add([]byte(config.Example), uint8(9), "debug")
	f.Add([]byte("log = {level = 'info'}"), uint8(10), "json")
	f.Add([]byte("log.level = \"\"\"info\"\"\" # x"), uint8(10), "")
	f.Fuzz(func(t *testing.T, data []byte, n uint8, value string) {
		before, err := config.Parse("config.toml", data)
		if err != nil {
			return
		}
		key := config.Keys[int(n)%len(config.Keys)].Path
		s, err := config.KeySetting(key, value)
		if err != nil {
			return
		}
		text, err := config.SetKeys(data, []config.Setting{s})
		if err != nil {
			return // a table in one line
		}
		if s.Value != "" {
			spliced(t, data, text)
		}
		after, err := config.Parse("config.toml", text)
		if err != nil {
			return // the value is none of this key
		}
		if !reflect.DeepEqual(before.Accounts, after.Accounts) {
			t.Errorf("an account has changed:\n%s\n%s", data, text)
		}
		if again, err := config.SetKeys(text, []config.Setting{s}); err != nil || !bytes.Equal(again, text) {
			t.Errorf("set again: %v\n%s\n%s", err, text, again)
		}
	})
}

// spliced fails the test unless the texts differ at one place.
func spliced(t *testing.T, before, after []byte) {
	t.Helper()
	head := 0
	for head < len(before) && head < len(after) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < len(before)-head && tail < len(after)-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	if gone := before[head : len(before)-tail]; bytes.ContainsAny(gone, "#") && !bytes.ContainsAny(gone, `"'`) {
		t.Errorf("%q went:\n%s\n%s", gone, before, after)
	}
}

// Each key of the list is one that the loader knows, with the choices that it has.
func TestKeysAreThoseOfTheLoader(t *testing.T) {
	for _, k := range config.Keys {
		if k.Doc == "" {
			t.Errorf("%s has no documentation", k.Path)
		}
		for _, choice := range k.Choices {
			text := done(config.SetKeys(nil, []config.Setting{config.Text(k.Path, choice)}))(t)
			if _, err := config.Parse("config.toml", text); err != nil {
				t.Errorf("%s = %s: %v", k.Path, choice, err)
			}
		}
		if k.Default == "" || strings.HasSuffix(k.Path, ".listen") && k.Path != "web.listen" {
			continue
		}
		s := done(config.KeySetting(k.Path, k.Default))(t)
		with, err := config.Parse("config.toml", done(config.SetKeys(nil, []config.Setting{s}))(t))
		without := done(config.Parse("config.toml", nil))(t)
		if err != nil || !reflect.DeepEqual(with, without) {
			t.Errorf("%s: %q is not its default: %v", k.Path, k.Default, err)
		}
	}
}

func TestValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(strings.Replace(keyed, "'debug'", "17", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]config.Value{}
	for _, v := range done(config.Values(path))(t) {
		got[v.Path] = v
	}
	for key, want := range map[string]config.Value{"keep_expunged": {Value: "60d", Line: 3}, "imap.listen": {Value: "127.0.0.1:1143", Line: 7}, "log.level": {Value: "17", Line: 10}, "timezone": {}} {
		if got[key].Value != want.Value || got[key].Line != want.Line {
			t.Errorf("%s: %+v", key, got[key])
		}
	}
	if got["data_dir"].Default == "" {
		t.Error("the default of data_dir is not told")
	}
}
