package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

func small(t *testing.T) *release {
	t.Helper()
	return &release{version: "1.2.3", commit: strings.Repeat("0123456789", 4), date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), out: t.TempDir(), work: t.TempDir()}
}

func TestVersions(t *testing.T) {
	t.Chdir(testkit.ModuleRoot(t))
	for version, good := range map[string]bool{"1.2.3": true, "0.10.0-rc.1": true, "": true, "1.2": false, "v1.2.3": false, "1.2.3 ": false, "1.2.3/x": false} {
		r, err := newRelease(t.Context(), version)
		if (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		}
		if err == nil && version != "" && r.version != version {
			t.Errorf("%q became %q", version, r.version)
		}
	}
}

// TestEveryCommandHasAManPage: the pages are made from the commands themselves, so none
// is missing and none says what --help does not.
func TestEveryCommandHasAManPage(t *testing.T) {
	r := small(t)
	if err := r.reference(t.Context()); err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string]string{
		"popbridge.1": "popbridge polls POP3 accounts", "popbridge-device-add.1": `\-\-read\-only`, "popbridge-status.1": "popbridge\\-status", "popbridge-sync.1": `\-\-dry\-run`,
	} {
		text, err := os.ReadFile(filepath.Join(r.work, "man", page))
		if err != nil {
			t.Error(err)
		} else if plain := strings.ReplaceAll(string(text), `\-`, "-"); !strings.Contains(plain, strings.ReplaceAll(want, `\-`, "-")) {
			t.Errorf("%s lacks %q:\n%s", page, want, text)
		}
	}
	for _, name := range []string{"popbridge", "_popbridge", "popbridge.fish", "popbridge.ps1"} {
		if info, err := os.Stat(filepath.Join(r.work, "completions", name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManifests: each manifest names a file of the release with its checksum.
func TestManifests(t *testing.T) {
	r := small(t)
	want := map[string]string{}
	for _, to := range platforms {
		end := ".tar.gz"
		if to.os == "windows" {
			end = ".zip"
		}
		data := []byte(to.os + to.arch)
		if err := os.WriteFile(filepath.Join(r.out, r.name(to, end)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		want[to.os+"-"+to.arch] = hex.EncodeToString(sum[:])
	}
	if err := r.manifests(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(r.out, "manifests", name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("{{")) || bytes.Contains(text, []byte("<no value>")) {
			t.Errorf("%s is not filled in:\n%s", name, text)
		}
		return string(text)
	}
	var scoop struct {
		Version      string
		Architecture map[string]struct{ URL, Hash string }
	}
	if err := json.Unmarshal([]byte(read("scoop/popbridge.json")), &scoop); err != nil {
		t.Fatal(err)
	}
	x64 := scoop.Architecture["64bit"]
	if scoop.Version != "1.2.3" || x64.Hash != want["windows-amd64"] || !strings.HasSuffix(x64.URL, "/v1.2.3/popbridge_1.2.3_windows_amd64.zip") {
		t.Errorf("%+v", scoop)
	}
	for name, contains := range map[string][]string{
		"winget/popbridge.popbridge.yaml":              {"PackageVersion: 1.2.3\n", "ManifestType: version\n"},
		"winget/popbridge.popbridge.locale.en-US.yaml": {"PackageVersion: 1.2.3\n", "ManifestType: defaultLocale\n"},
		"winget/popbridge.popbridge.installer.yaml":    {strings.ToUpper(want["windows-amd64"]), strings.ToUpper(want["windows-arm64"]), `popbridge_1.2.3_windows_amd64\popbridge.exe`},
		"homebrew/popbridge.rb":                        {`tag:      "v1.2.3"`, r.commit},
		"aur/PKGBUILD":                                 {"pkgver=1.2.3\n", want["linux-amd64"], want["linux-arm64"]},
	} {
		text := read(name)
		for _, c := range contains {
			if !strings.Contains(text, c) {
				t.Errorf("%s lacks %q:\n%s", name, c, text)
			}
		}
	}
	if bash, err := exec.LookPath("bash"); err == nil {
		if out, err := exec.Command(bash, "-n", filepath.Join(r.out, "manifests/aur/PKGBUILD")).CombinedOutput(); err != nil {
			t.Errorf("PKGBUILD: %v\n%s", err, out)
		}
	}
}

// TestBuiltTwice makes the whole release twice, which gives the same bytes, and looks
// into it: a package for Debian unpacks to a program that says its version, and the
// checksums are right.
func TestBuiltTwice(t *testing.T) {
	if os.Getenv("POPBRIDGE_REAL") != "required" {
		t.Skip("builds for six platforms: runs with POPBRIDGE_REAL=required")
	}
	rig.Need(t, "dpkg-deb", "sha256sum")
	t.Chdir(testkit.ModuleRoot(t))
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := run(t.Context(), dir, "1.2.3", ""); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	err := filepath.WalkDir(first, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		rel, err := filepath.Rel(first, path)
		if err != nil {
			return err
		}
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(second, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs: %d and %d octets", rel, len(a), len(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, twice the same", files)
	sums := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	sums.Dir = first
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	root := t.TempDir()
	deb := filepath.Join(first, "popbridge_1.2.3_linux_"+runtime.GOARCH+".deb")
	if out, err := exec.Command("dpkg-deb", "--extract", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(root, "usr/bin/popbridge"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "popbridge 1.2.3\n") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, name := range []string{"man/man1/popbridge.1.gz", "bash-completion/completions/popbridge", "doc/popbridge/copyright", "doc/popbridge/popbridge.cdx.json"} {
		if _, err := os.Stat(filepath.Join(root, "usr/share", name)); err != nil {
			t.Error(err)
		}
	}
	tryImage(t, first)
}
