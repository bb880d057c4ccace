package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// TestManifestsAreRead has bash and Ruby read what they will read for the AUR and
// Homebrew, and asks the PKGBUILD for what makepkg takes from it.
func TestManifestsAreRead(t *testing.T) {
	rig.Need(t, "bash", "ruby")
	r := small(t)
	r.version = "1.2.3-rc.1"
	for _, to := range platforms {
		for _, end := range []string{".tar.gz", ".zip"} {
			if err := os.WriteFile(filepath.Join(r.out, r.name(to, end)), []byte(to.os+to.arch), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.manifests(t.Context()); err != nil {
		t.Fatal(err)
	}
	said := func(argv ...string) string {
		t.Helper()
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", argv, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := said("ruby", "-c", "-w", filepath.Join(r.out, "manifests/homebrew/popbridge.rb")); got != "Syntax OK" {
		t.Error(got)
	}
	build := filepath.Join(r.out, "manifests/aur/PKGBUILD")
	said("bash", "-n", build)
	// PKGBUILD(5): pkgver has no hyphen; there is a checksum for each source.
	got := said("bash", "-euc", `. "$1"; declare -F package >/dev/null
for a in "${arch[@]}"; do declare -n s=source_$a h=sha256sums_$a; echo "$pkgver $a ${#s[@]} ${#h[@]} ${s##*/} ${#h}"; done`, "bash", build)
	want := "1.2.3_rc.1 x86_64 1 1 popbridge_1.2.3-rc.1_linux_amd64.tar.gz 64\n1.2.3_rc.1 aarch64 1 1 popbridge_1.2.3-rc.1_linux_arm64.tar.gz 64"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
