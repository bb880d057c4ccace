package mozilla

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestTheProfileThatIsStarted(t *testing.T) {
	far := t.TempDir()
	for _, c := range []struct{ what, text, want string }{
		{"of an installation", "[Profile1]\nName=default\nIsRelative=1\nPath=a.default\nDefault=1\n\n[InstallFD]\nDefault=b.default-default\nLocked=1\n\n[Profile0]\nName=x\nIsRelative=1\nPath=b.default-default\n", "b.default-default"},
		{"of an installation that is gone", "[InstallFD]\nDefault=gone\n[Profile0]\nPath=a\n[Profile1]\nPath=b\nDefault=1\n", "b"},
		{"marked", "[Profile0]\nPath=a\n\n[Profile1]\r\nIsRelative=0\r\nPath=" + far + "\r\nDefault=1\r\n", far},
		{"the only one", "[General]\nStartWithLastProfile=1\n[Profile0]\nPath=Profiles/x\n", "Profiles/x"},
		{"one of two", "[Profile0]\nPath=a\n[Profile1]\nPath=b\n", ""},
		{"none", "[General]\nDefault=1\n", ""},
	} {
		f := Folder{Thunderbird, t.TempDir()}
		if err := os.WriteFile(filepath.Join(f.Dir, "profiles.ini"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		profiles, err := f.Profiles()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range profiles {
			if p.Default {
				got += p.Dir
			}
		}
		want := c.want
		if want != "" && !filepath.IsAbs(want) {
			want = filepath.Join(f.Dir, filepath.FromSlash(want))
		}
		if got != want {
			t.Errorf("%s: %q, want %q", c.what, got, want)
		}
	}
	if _, err := (Folder{Firefox, far}).Profiles(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzProfiles: whatever the file has, at most one profile is the one that is started.
func FuzzProfiles(f *testing.F) {
	f.Add([]byte("[Install1]\nDefault=a\n[Profile0]\nPath=a\nIsRelative=1\n[Profile1]\nPath=../b\nDefault=1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		started := 0
		for _, p := range read(text, "/home/ann/.thunderbird") {
			if p.Default {
				started++
			}
			if !filepath.IsAbs(p.Dir) && filepath.Separator == '/' {
				t.Errorf("the folder %q", p.Dir)
			}
		}
		if started > 1 {
			t.Errorf("%d are started", started)
		}
	})
}
