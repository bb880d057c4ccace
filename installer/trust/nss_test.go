package trust

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/test/rig"
)

// nssStore is an empty database, whose folder has a name that a shell would read
// otherwise; with a password where that is not empty.
func nssStore(t *testing.T, password string) (s Store, dir string) {
	t.Helper()
	rig.Need(t, "certutil")
	dir = filepath.Join(t.TempDir(), "a [profile]; $x")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"--empty-password"}
	if password != "" {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = []string{"-f", file}
	}
	certutil(t, nil, append([]string{"-N", "-d", "sql:" + dir}, args...)...)
	return Store{Name: "NSS", Path: dir, place: database{thisHost("/data folder/tls/ca.pem"), dir}}, dir
}

func certutil(t *testing.T, input []byte, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "certutil", args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("certutil %q: %v: %s", args, err, out)
	}
	return string(out)
}

func TestAnNSSDatabase(t *testing.T) {
	s, _ := nssStore(t, "")
	keepsTheContract(t, s)
}

// A profile that was made for the first use has no database yet: it gets one.
func TestAProfileThatWasNeverUsed(t *testing.T) {
	s, dir := nssStore(t, "")
	for _, name := range []string{databaseFile, "key4.db", "pkcs11.txt"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	keepsTheContract(t, s)
}

// What people have imported by hand has the nickname that Thunderbird gives, and may be
// trusted for nothing or for more.
func TestWhatWasImportedByHand(t *testing.T) {
	s, dir := nssStore(t, "")
	key := newKey(t)
	first, renewed, foreign := authority(t, key), authority(t, key), loopback()
	foreign.Subject.Organization = []string{"Example"}
	stranger := sign(t, foreign, foreign, key, key) // of another name
	const nickname = "popbridge local CA of attic - popbridge"
	certutil(t, encode(first), "-A", "-d", "sql:"+dir, "-n", nickname, "-t", ",,")
	certutil(t, encode(stranger), "-A", "-d", "sql:"+dir, "-n", "popbridge of a stranger", "-t", "C,,")
	state(t, s, first, NotTrusted, 0)
	install(t, s, first, true)
	state(t, s, first, Trusted, 0)
	if text := certutil(t, nil, "-L", "-d", "sql:"+dir); !strings.Contains(text, "C,,") || strings.Contains(text, "CT") {
		t.Errorf("trusted for more than servers:\n%s", text)
	}
	install(t, s, renewed, true)
	remove(t, s, nil, 1)
	if text := certutil(t, nil, "-L", "-d", "sql:"+dir); strings.Contains(text, "attic") || !strings.Contains(text, "popbridge of a stranger") {
		t.Errorf("what is left:\n%s", text)
	}
}

// With a primary password nothing is changed, not even by half; what is there can be
// read and removed.
func TestADatabaseWithAPassword(t *testing.T) {
	s, dir := nssStore(t, "secret words")
	ca := authority(t, newKey(t))
	_, err := s.Install(t.Context(), ca)
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "primary password") || !strings.Contains(fault.Hint(err), "'sql:"+dir+"'") || !strings.Contains(fault.Hint(err), "-i '/data folder/tls/ca.pem'") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	if text := certutil(t, nil, "-L", "-d", "sql:"+dir); strings.Contains(text, "popbridge") {
		t.Errorf("something was left:\n%s", text)
	}
	state(t, s, ca, NotTrusted, 0)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	certutil(t, encode(ca), "-A", "-d", "sql:"+dir, "-n", "popbridge local CA of attic", "-t", "C,,", "-f", password)
	state(t, s, ca, Trusted, 0)
	remove(t, s, ca, 1)
}

func TestADatabaseThatIsDamaged(t *testing.T) {
	s, dir := nssStore(t, "")
	if err := os.WriteFile(filepath.Join(dir, databaseFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := authority(t, newKey(t))
	if got, _, err := s.State(t.Context(), ca); got != Unknown || !fault.Is(err, fault.Corrupt) || !strings.Contains(fault.Hint(err), dir) {
		t.Errorf("%s: %v; hint: %s", got, err, fault.Hint(err))
	}
	if _, err := s.Install(t.Context(), ca); !fault.Is(err, fault.Corrupt) {
		t.Error(err)
	}
}

// Where certutil is missing it is said how it is installed. Windows has another program
// of that name, which is not run.
func TestWithoutCertutil(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, databaseFile), "")
	for _, tt := range []struct{ goos, has, hint string }{
		{"linux", "apt-get", "sudo apt install libnss3-tools"}, {"linux", "dnf", "sudo dnf install nss-tools"}, {"linux", "zypper", "mozilla-nss-tools"},
		{"linux", "apk", "sudo apk add nss-tools"}, {"linux", "pacman", "sudo pacman -S nss"}, {"darwin", "brew", "brew install nss"}, {"linux", "", "install the tools of NSS"},
		{"windows", "certutil", "install the tools of NSS"},
	} {
		h := host{goos: tt.goos, file: "/data/tls/ca.pem", getenv: func(string) string { return `C:\Windows` }, look: func(program string) (string, error) {
			if program == tt.has {
				return `c:\windows\system32\` + program + ".exe", nil
			}
			return "", exec.ErrNotFound
		}}
		_, _, err := Store{place: database{h, dir}}.State(t.Context(), nil)
		if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Hint(err), tt.hint) || !strings.Contains(fault.Hint(err), "or import /data/tls/ca.pem in the program: Settings") {
			t.Errorf("%v: %v; hint: %s", tt, err, fault.Hint(err))
		}
	}
}
