package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const profilesINI = `[Profile1]
Name=default
IsRelative=1
Path=abc.default

[Install4F96D1932A9F858E]
Default=abc.default-release
Locked=1

[Profile0]
Name=default-release
IsRelative=1
Path=abc.default-release

[Profile2]
Name=far
IsRelative=0
Path=%s

[General]
StartWithLastProfile=1
`

// The databases of every program and package are found, once each, under the names that
// people gave them. A profile that was never used has none, and is found where it has settings.
func TestProfilesAreFound(t *testing.T) {
	home, far := filepath.Join(t.TempDir(), "[h]ome"), t.TempDir()
	at := func(path string) string { return filepath.Join(home, filepath.FromSlash(path)) }
	put(t, at(".thunderbird/profiles.ini"), fmt.Sprintf(profilesINI, far))
	for _, dir := range []string{
		far, at(".thunderbird/abc.default-release"), at(".thunderbird/unlisted"), at(".mozilla/firefox/x.default"), at(".config/mozilla/firefox/y.default"),
		at("snap/firefox/common/.mozilla/firefox/s.default"), at("snap/thunderbird/common/.thunderbird/t.default"),
		at(".var/app/org.mozilla.Thunderbird/.thunderbird/f.default"), at(".pki/nssdb"),
	} {
		put(t, filepath.Join(dir, databaseFile), "")
	}
	put(t, at(".thunderbird/abc.default/times.json"), "{}")
	put(t, at(".var/app/a/.thunderbird/profiles.ini"), "[Profile0]\nName=new\nPath=new\n")
	put(t, at(".var/app/a/.thunderbird/new/prefs.js"), "")
	if err := os.Symlink(at(".thunderbird/unlisted"), at(".thunderbird/again")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Thunderbird, profile default-release: .thunderbird/abc.default-release",
		"Thunderbird, profile far: " + far,
		"Thunderbird, profile again: .thunderbird/again",
		"Thunderbird, profile t.default: snap/thunderbird/common/.thunderbird/t.default",
		"Thunderbird, profile new: .var/app/a/.thunderbird/new",
		"Thunderbird, profile f.default: .var/app/org.mozilla.Thunderbird/.thunderbird/f.default",
		"Firefox, profile x.default: .mozilla/firefox/x.default",
		"Firefox, profile y.default: .config/mozilla/firefox/y.default",
		"Firefox, profile s.default: snap/firefox/common/.mozilla/firefox/s.default",
		"Chromium and its like: .pki/nssdb",
	}
	var got []string
	for _, s := range (host{goos: "linux", home: home}).databases() {
		path, err := filepath.Rel(home, s.Path)
		if err != nil || path[:2] == ".." {
			path = s.Path
		}
		got = append(got, s.Name+": "+filepath.ToSlash(path))
		if s.System || s.Running() {
			t.Errorf("%s: of the system or running", s.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
