package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		if to.os != "windows" {
			continue
		}
		sum = sha256.Sum256([]byte("msi" + to.arch))
		if err := os.WriteFile(filepath.Join(r.out, r.name(to, ".msi")), []byte("msi"+to.arch), 0o600); err != nil {
			t.Fatal(err)
		}
		want["msi-"+to.arch] = hex.EncodeToString(sum[:])
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
		"winget/popbridge.popbridge.installer.yaml":    {strings.ToUpper(want["msi-amd64"]), strings.ToUpper(want["msi-arm64"]), "/v1.2.3/popbridge_1.2.3_windows_amd64.msi", "Scope: user\n", r.productCode(target{"windows", "arm64"})},
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

// TestBuiltTwice makes the whole release, and the files of two platforms a second time:
// with another path of the checkout, another folder for temporary files, another time
// zone, and later. They have the same bytes. The other four platforms are made by the same
// code, and once. Both builds use the compiler's cache: this shows what linking and packing
// put in, while -trimpath promises that compiling puts in no path. Then it looks into the
// packages for Linux.
func TestBuiltTwice(t *testing.T) {
	if os.Getenv("POPBRIDGE_REAL") != "required" {
		t.Skip("builds for six platforms: runs with POPBRIDGE_REAL=required")
	}
	rig.Need(t, "dpkg-deb", "rpm", "zstd", "sha256sum", "msibuild", "msiinfo", "gcab")
	root := testkit.ModuleRoot(t)
	t.Chdir(root)
	first := t.TempDir()
	if err := run(t.Context(), first, "1.2.3", "", nil); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "another name")
	if err := os.Symlink(root, elsewhere); err != nil {
		t.Fatal(err)
	}
	t.Chdir(elsewhere) // and PWD, which is where the compiler takes itself to be
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TZ", "Asia/Tokyo")
	for _, platform := range []string{"linux/" + runtime.GOARCH, "windows/amd64"} {
		second := t.TempDir()
		if err := run(t.Context(), second, "1.2.3", platform, nil); err != nil {
			t.Fatal(err)
		}
		same(t, first, second)
	}
	r, err := newRelease(t.Context(), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range platforms[:2] {
		checkMSI(t, r, filepath.Join(first, r.name(to, ".msi")), to)
	}
	sums := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	sums.Dir = first
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	linuxPackages(t, filepath.Join(first, "popbridge_1.2.3_linux_"+runtime.GOARCH))
	tryImage(t, first)
}

// same compares the files of a release with those of another for one platform. Only the
// list of their checksums is shorter.
func same(t *testing.T, first, second string) {
	t.Helper()
	files, err := os.ReadDir(second)
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if f.Name() == "SHA256SUMS" {
			continue
		}
		a, err := os.ReadFile(filepath.Join(first, f.Name()))
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := os.ReadFile(filepath.Join(second, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs: %d and %d octets", f.Name(), len(a), len(b))
		}
	}
	t.Logf("%d files, twice the same", len(files)-1)
}

// linuxPackages looks into the packages: the same files in each, but for what is systemd's
// on Alpine and where zsh looks on Debian, all of root, with the scripts of each kind.
func linuxPackages(t *testing.T, name string) {
	t.Helper()
	say := func(argv ...string) string {
		t.Helper()
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
		return string(out)
	}
	tar := filepath.Join(t.TempDir(), "deb.tar")
	if err := os.WriteFile(tar, []byte(say("dpkg-deb", "--fsys-tarfile", name+".deb")), 0o600); err != nil {
		t.Fatal(err)
	}
	want := files(say("tar", "--list", "--file", tar))
	for _, file := range []string{"/usr/bin/popbridge", "/usr/lib/systemd/system/popbridge.service", "/usr/lib/systemd/user/popbridge.service",
		"/usr/lib/sysusers.d/popbridge.conf", "/usr/share/man/man1/popbridge.1.gz", "/usr/share/applications/popbridge.desktop", "/usr/share/icons/hicolor/scalable/apps/popbridge.svg", "/usr/share/doc/popbridge/popbridge.cdx.json"} {
		if !slices.Contains(want, file) {
			t.Errorf("%s is missing", file)
		}
	}
	for kind, got := range map[string][]string{
		"rpm":  files(say("rpm", "--query", "--list", "--package", "--nosignature", name+".rpm")),
		"arch": files(say("tar", "--list", "--zstd", "--file", name+".pkg.tar.zst")),
		"apk":  files(say("tar", "--list", "--gzip", "--file", name+".apk")),
	} {
		want := want
		if kind == "apk" {
			want = slices.DeleteFunc(slices.Clone(want), func(f string) bool { return strings.Contains(f, "/systemd/") || strings.Contains(f, "/sysusers.d/") })
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-deb +%[1]s)\n%s", kind, diff)
		}
	}
	owners := say("rpm", "--query", "--package", "--nosignature", "--queryformat", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]", name+".rpm")
	if strings.Trim(strings.ReplaceAll(owners, "root:root", ""), "\n") != "" {
		t.Errorf("owners in the .rpm:\n%s", owners)
	}
	scripts := map[string]string{}
	for tag, what := range map[string]string{"POSTIN": "systemd-sysusers popbridge.conf", "PREUN": "disable --now popbridge.service", "POSTUN": "daemon-reload"} {
		scripts[tag] = say("rpm", "--query", "--package", "--nosignature", "--queryformat", "%{"+tag+"}", name+".rpm")
		if !strings.Contains(scripts[tag], what) {
			t.Errorf("%s of the .rpm lacks %q:\n%s", tag, what, scripts[tag])
		}
		say("sh", "-n", "-c", scripts[tag])
	}
	if os.Getuid() == 0 {
		installRPM(t, say, name+".rpm")
	}
}

// installRPM puts an .rpm into a folder and removes it again. Its scripts would need a
// shell there; what they do is seen with the .deb in test/service.
func installRPM(t *testing.T, say func(...string) string, file string) {
	t.Helper()
	root := t.TempDir()
	rpm := func(args ...string) string {
		return say(append([]string{"rpm", "--root", root, "--nosignature"}, args...)...)
	}
	rpm("--initdb")
	rpm("--install", "--nodeps", "--noscripts", "--ignorearch", file)
	if out := rpm("--verify", "--nodeps", "popbridge"); out != "" {
		t.Errorf("verified:\n%s", out)
	}
	if out := say(filepath.Join(root, "usr/bin/popbridge"), "version"); !strings.HasPrefix(out, "popbridge 1.2.3\n") {
		t.Errorf("says %s", out)
	}
	rpm("--erase", "--noscripts", "popbridge")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/popbridge")); err == nil {
		t.Error("the program was not removed")
	}
}

// files are those of a list of tar or rpm, in order and without folders, and with the
// place where others than Debian have completions of zsh.
func files(list string) (paths []string) {
	for line := range strings.Lines(list) {
		path := strings.TrimPrefix(strings.TrimSpace(line), ".")
		switch {
		case strings.HasSuffix(path, "/"), !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "usr/"):
			continue // folders, and what pacman and apk keep of their own
		}
		path = "/" + strings.TrimPrefix(path, "/")
		paths = append(paths, strings.Replace(path, "/vendor-completions/", "/site-functions/", 1))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
