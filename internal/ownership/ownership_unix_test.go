//go:build unix

package ownership

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes folders (a name that ends with /) and files with these modes. Its
// parent is a folder with the sticky bit.
func tree(t *testing.T, entries ...entry) string {
	t.Helper()
	top := t.TempDir()
	for _, e := range entries {
		path := filepath.Join(top, e.name)
		var err error
		switch {
		case e.link != "":
			err = os.Symlink(e.link, path)
		case strings.HasSuffix(e.name, "/"):
			err = os.Mkdir(path, 0o700)
		default:
			err = os.WriteFile(path, []byte("x"), 0o600)
		}
		if err == nil && e.link == "" {
			err = os.Chmod(path, e.mode) // whatever the umask
		}
		if err == nil && e.owner != 0 {
			if os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			err = os.Lchown(path, e.owner, e.owner)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

type entry struct {
	name  string
	mode  fs.FileMode
	owner int
	link  string
}

// other is the id of a user who is neither root nor this one.
const other = 54321

func TestWhoCanChangeAFile(t *testing.T) {
	for name, c := range map[string]struct {
		tree    []entry
		durable bool
		wrong   string // the entry that is found; empty: none
		why     string
	}{
		"own file":                    {tree: []entry{{name: "f", mode: 0o600}}},
		"readable by all":             {tree: []entry{{name: "f", mode: 0o644}}},
		"writable by all":             {tree: []entry{{name: "f", mode: 0o666}}, wrong: "f", why: "can be written by other users"},
		"missing":                     {},
		"folder writable by all":      {tree: []entry{{name: "d/", mode: 0o777}, {name: "d/f", mode: 0o600}}, wrong: "d", why: "can be written"},
		"sticky folder":               {tree: []entry{{name: "d/", mode: 0o777 | fs.ModeSticky}, {name: "d/f", mode: 0o600}}},
		"sticky folder, empty":        {tree: []entry{{name: "d/", mode: 0o777 | fs.ModeSticky}}},
		"sticky folder, to be kept":   {tree: []entry{{name: "d/", mode: 0o777 | fs.ModeSticky}, {name: "d/f", mode: 0o600}}, durable: true, wrong: "d", why: "can be written"},
		"link":                        {tree: []entry{{name: "g", mode: 0o600}, {name: "f", link: "g"}}},
		"link to what is open":        {tree: []entry{{name: "g", mode: 0o666}, {name: "f", link: "./g"}}, wrong: "g", why: "can be written"},
		"link through an open folder": {tree: []entry{{name: "d/", mode: 0o777}, {name: "g", mode: 0o600}, {name: "f", link: "d/../g"}}, wrong: "d", why: "can be written"},
		"links in a circle":           {tree: []entry{{name: "g", link: "f"}, {name: "f", link: "g"}}},
		"volume of a pod": {tree: []entry{{name: "..1/", mode: 0o755}, {name: "..1/f", mode: 0o644},
			{name: "..data", link: "..1"}, {name: "f", link: "..data/f"}}},
	} {
		t.Run(name, func(t *testing.T) {
			top := tree(t, c.tree...)
			path := filepath.Join(top, "f")
			if _, err := os.Lstat(filepath.Join(top, "d", "f")); err == nil {
				path = filepath.Join(top, "d", "f")
			}
			f := Check(path, Options{Durable: c.durable})
			if c.durable && f != nil && f.Path != top { // the system's own folder for temporary files
				return
			}
			expect(t, f, filepath.Join(top, c.wrong), c.wrong != "", c.why)
		})
	}
}

func expect(t *testing.T, f *Finding, path string, want bool, why string) {
	t.Helper()
	switch {
	case f == nil && want:
		t.Errorf("nothing was found, want %s", path)
	case f != nil && !want:
		t.Errorf("found: %+v", f)
	case f != nil && (f.Path != path || !strings.Contains(f.Why, why) || !strings.Contains(f.Hint, path)):
		t.Errorf("found %+v, want %s of %s", f, why, path)
	}
}

// Root trusts root alone; another user trusts himself, too, and does not mind
// what lies where no one else can get.
func TestWhoIsTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	home := func(mode fs.FileMode, owner int) []entry {
		return []entry{{name: "home/", mode: mode, owner: owner}, {name: "home/f", mode: 0o660, owner: owner}}
	}
	for name, c := range map[string]struct {
		tree  []entry
		uid   int
		wrong string
		why   string
	}{
		"root, file of another":               {[]entry{{name: "home/", mode: 0o755}, {name: "home/f", mode: 0o600, owner: other}}, 0, "home/f", "belongs to user 54321"},
		"root, folder of another":             {[]entry{{name: "home/", mode: 0o755, owner: other}, {name: "home/f", mode: 0o600}}, 0, "home", "belongs to user 54321"},
		"other, his own":                      {home(0o755, other), other, "", ""},
		"other, of root":                      {home(0o755, 0), other, "", ""},
		"other, of a third":                   {home(0o755, other+1), other, "home", "belongs to user 54322"},
		"other, open file in a closed folder": {[]entry{{name: "home/", mode: 0o700, owner: other}, {name: "home/f", mode: 0o666, owner: other}}, other, "", ""},
		"root, open file in a closed folder":  {[]entry{{name: "home/", mode: 0o700}, {name: "home/f", mode: 0o666}}, 0, "home/f", "can be written"},
		"link of a third in a sticky folder": {[]entry{{name: "home/", mode: 0o777 | fs.ModeSticky}, {name: "g", mode: 0o600},
			{name: "home/f", link: "../g", owner: -1}}, other, "home/f", "belongs to"},
	} {
		t.Run(name, func(t *testing.T) {
			top := tree(t, c.tree...)
			for dir := top; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.tree[len(c.tree)-1].owner < 0 {
				if err := os.Lchown(filepath.Join(top, "home", "f"), other+1, other+1); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, checkAs(c.uid, filepath.Join(top, "home", "f"), Options{}), filepath.Join(top, c.wrong), c.wrong != "", c.why)
		})
	}
}

func TestPrivate(t *testing.T) {
	top := tree(t, entry{name: "good", mode: 0o600}, entry{name: "open", mode: 0o606}, entry{name: "link", link: "good"})
	in := func(name string) string { return filepath.Join(top, name) }
	for name, why := range map[string]string{"good": "", "missing": "", "open": "can be written by other users", "link": "is a symbolic link"} {
		f := Private(top, in("good"), in(name))
		if f == nil && why != "" || f != nil && (why == "" || f.Path != in(name) || !strings.Contains(f.Why, why)) {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(in("good"), other, other); err != nil {
		t.Fatal(err)
	}
	f := Private(top, in("good"))
	if f == nil || f.Hint != "run: chown -R root: "+top || !strings.Contains(f.RunAs(), "sudo -u '#54321' popbridge") {
		t.Errorf("%+v, %s", f, f.RunAs())
	}
}

func TestWhoCanReadAFile(t *testing.T) {
	top := tree(t, entry{name: "a", mode: 0o600}, entry{name: "b", mode: 0o604}, entry{name: "c", mode: 0o440})
	for name, want := range map[string]bool{"a": false, "b": true, "c": false} {
		if name == "c" && os.Getegid() != 0 {
			continue // the group may have members
		}
		path := filepath.Join(top, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := Readable(path, info); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Names of files and users are whatever they are.
func FuzzCheck(f *testing.F) {
	f.Add("/etc/passwd")
	f.Add("../../tmp/./x//y/")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, path string) {
		if f := Check(path, Options{}); f != nil && (f.Path == "" || f.Hint == "") {
			t.Errorf("%+v", f)
		}
	})
}
