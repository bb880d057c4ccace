package wine

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/test/rig"
)

// msi is the .msi of a version, and what it puts into the prefix.
type msi struct {
	t    *testing.T
	path string
}

// newMSI returns the .msi of a version as Windows treats it for one user, changed by
// more. wine does not do two things that it should: it makes ALLUSERS=2 an installation
// for the machine though MSIINSTALLPERUSER says otherwise, and does not tell a version
// that is removed by an upgrade of that (UPGRADINGPRODUCTCODE).
func newMSI(t *testing.T, version string, more ...string) *msi {
	t.Helper()
	rig.Need(t, "msibuild", "gcab")
	m := &msi{t, filepath.Join(t.TempDir(), "popbridge.msi")}
	data, err := os.ReadFile(released(t, version))
	must(t, err)
	must(t, os.WriteFile(m.path, data, 0o600))
	for _, query := range append([]string{"DELETE FROM Property WHERE Property = 'ALLUSERS'"}, more...) {
		if out, err := exec.Command("msibuild", m.path, "-q", query).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", query, err, out)
		}
	}
	return m
}

// released is the .msi as it is released.
func released(t *testing.T, version string) string {
	t.Helper()
	dir := os.Getenv("POPBRIDGE_MSI")
	if dir == "" {
		t.Skip("POPBRIDGE_MSI is not set: run .ci/wine")
	}
	return filepath.Join(dir, version, "popbridge_"+version+"_windows_amd64.msi")
}

// msiexec runs the program of Windows that installs, and returns whether that went well.
func msiexec(t *testing.T, args ...string) error {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "msiexec.log")) // a pipe would be kept open by the agent
	must(t, err)
	cmd := exec.Command("wine", append([]string{"msiexec", "/qn"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run()
	out, _ := os.ReadFile(log.Name())
	_ = log.Close() // it was only read
	t.Logf("msiexec %s: %v\n%s", strings.Join(args, " "), err, out)
	return err
}

func (m *msi) install() { m.t.Helper(); must(m.t, msiexec(m.t, "/i", windows(m.path))) }
func (m *msi) remove(options ...string) {
	m.t.Helper()
	must(m.t, msiexec(m.t, append([]string{"/x", windows(m.path)}, options...)...))
}

// drive is a path on drive C of the prefix.
func drive(parts ...string) string {
	return filepath.Join(append([]string{os.Getenv("WINEPREFIX"), "drive_c"}, parts...)...)
}

// home is a path in the profile of the user.
func home(parts ...string) string {
	profiles, _ := filepath.Glob(drive("users", "*"))
	profiles = slices.DeleteFunc(profiles, func(path string) bool { return filepath.Base(path) == "Public" })
	return filepath.Join(append(profiles[:1], parts...)...)
}

// value is that of the registry, "" where there is none.
func value(t *testing.T, key, name string) string {
	t.Helper()
	out, err := exec.Command("wine", "reg", "query", key, "/v", name).Output()
	if err != nil {
		return ""
	}
	_, text, _ := strings.Cut(string(out), "REG_")
	_, text, _ = strings.Cut(text, "    ")
	return strings.TrimSpace(text)
}

const runKey = `HKCU\Software\Microsoft\Windows\CurrentVersion\Run`

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func (m *msi) program() string { return home("AppData/Local/Programs/popbridge/popbridge.exe") }

// checkThere looks for all that is installed for a user, or that nothing of it is.
func (m *msi) checkThere(want bool) {
	m.t.Helper()
	for _, path := range []string{m.program(), filepath.Join(filepath.Dir(m.program()), "LICENSE.txt"), home("AppData/Roaming/Microsoft/Windows/Start Menu/Programs/popbridge status.lnk")} {
		if exists(path) != want {
			m.t.Errorf("%s: is there: %v", path, !want)
		}
	}
	if !want && exists(filepath.Dir(m.program())) {
		m.t.Errorf("the folder %s stays", filepath.Dir(m.program()))
	}
	if path := value(m.t, `HKCU\Environment`, "PATH"); strings.Contains(path, `\Programs\popbridge\`) != want {
		m.t.Errorf("PATH is %q", path)
	}
	if entry := value(m.t, runKey, "popbridge"); (entry != "") != want {
		m.t.Errorf("the entry at log-on is %q", entry)
	}
}

// TestTheInstaller installs for a user, upgrades a running agent, refuses to go back,
// and removes: mail, UIDs and config stay, until their deletion is asked for.
func TestTheInstaller(t *testing.T) {
	old := newMSI(t, "1.2.3", "INSERT INTO Property (Property, Value) VALUES ('UPGRADINGPRODUCTCODE', '{00000000-0000-0000-0000-000000000000}')")
	next := newMSI(t, "1.3.0")
	p := newProgram(t, serve(t, 20))
	t.Cleanup(func() { // the prefix is not of this test alone
		for _, dir := range []string{"Roaming/popbridge", "Local/popbridge", "Local/popbridge-state"} {
			_ = os.RemoveAll(home("AppData", dir))
		}
	})
	old.install()
	old.checkThere(true)
	entry := value(t, runKey, "popbridge")
	if log, err := os.ReadFile(home("AppData/Local/popbridge/popbridge.log")); err != nil || !strings.Contains(string(log), "there is no config file") {
		t.Errorf("without a config the log says: %s, %v", log, err)
	}

	// The agent takes up a config once there is one. install writes the same entry.
	p.exe = old.program()
	must(t, os.MkdirAll(home("AppData/Roaming/popbridge"), 0o700))
	for _, name := range []string{"config.toml", "password"} {
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		must(t, err)
		must(t, os.WriteFile(home("AppData/Roaming/popbridge", name), data, 0o600))
	}
	must(t, rig.WaitPort(t.Context(), p.port, nil))
	usual := func(verb string) {
		t.Helper()
		if out, err := exec.Command("wine", p.exe, verb).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", verb, err, out)
		}
	}
	usual("uninstall")
	usual("install")
	if again := value(t, runKey, "popbridge"); again != entry || entry == "" {
		t.Errorf("the .msi writes %q, and install %q", entry, again)
	}
	usual("uninstall")

	// With a config elsewhere it is upgraded.
	p.run("", "install")
	p.run("", "start")
	entry = value(t, runKey, "popbridge")
	p.run(password+"\n", "device", "add", "laptop", "--user", "ann", "--password-stdin")
	p.run("", "sync")
	before := p.read()
	if len(before) != 20 {
		t.Fatalf("%d messages", len(before))
	}
	next.install()
	next.checkThere(true)
	if out := p.run("", "version"); !strings.HasPrefix(out, "popbridge 1.3.0") {
		t.Errorf("after the upgrade: %s", out)
	}
	must(t, rig.WaitPort(t.Context(), p.port, nil))
	if !maps.Equal(before, p.read()) {
		t.Error("after the upgrade there is other mail")
	}
	if again := value(t, runKey, "popbridge"); again != entry {
		t.Errorf("the upgrade made %q of the entry %q", again, entry)
	}
	if err := msiexec(t, "/i", windows(old.path)); err == nil {
		t.Error("an older version was installed over a newer one")
	}
	if out := p.run("", "version"); !strings.HasPrefix(out, "popbridge 1.3.0") {
		t.Errorf("after the refused downgrade: %s", out)
	}

	// Removed, it leaves mail and config.
	next.remove()
	next.checkThere(false)
	if !exists(filepath.Join(p.dir, "config.toml")) || !exists(filepath.Join(p.dir, "data/users/ann/index.db")) {
		t.Error("mail or config are gone")
	}
	next.install() // with the usual config, until the other is the one of the entry
	usual("uninstall")
	p.run("", "install")
	p.run("", "start")
	must(t, rig.WaitPort(t.Context(), p.port, nil))
	if !maps.Equal(before, p.read()) {
		t.Error("installed again there is other mail")
	}
	next.remove("DELETEMAIL=yes")
	next.checkThere(false)
	if !exists(filepath.Join(p.dir, "config.toml")) || exists(filepath.Join(p.dir, "data")) {
		t.Error("the mail is there, or the config is not")
	}
}

// TestTheInstallerForTheMachine registers the service of the machine.
// Services with an account of their own do not start under wine.
func TestTheInstallerForTheMachine(t *testing.T) {
	const service = `HKLM\System\CurrentControlSet\Services\popbridge`
	path := windows(released(t, "1.3.0"))
	p := newProgram(t, serve(t, 1))
	if err := msiexec(t, "/i", path, "SERVICE=1", "ALLUSERS="); err == nil {
		t.Error("a service was installed for one user")
	}
	config := windows(filepath.Join(p.dir, "config.toml"))
	must(t, msiexec(t, "/i", path, "ALLUSERS=1", "SERVICE=1", "CONFIG="+config))
	program := drive("Program Files/popbridge/popbridge.exe")
	if image := value(t, service, "ImagePath"); !strings.HasPrefix(image, `"C:\Program Files\popbridge\popbridge.exe" run --config "Z:`) || !strings.HasSuffix(image, `\config.toml"`) {
		t.Errorf("the service runs %q", image)
	}
	if account := value(t, service, "ObjectName"); account != `NT SERVICE\popbridge` {
		t.Errorf("the service runs as %q", account)
	}
	const environment = `HKLM\System\CurrentControlSet\Control\Session Manager\Environment`
	if path := value(t, environment, "PATH"); !exists(program) || !strings.Contains(path, `C:\Program Files\popbridge\`) {
		t.Errorf("%s is there: %v; PATH is %q", program, exists(program), path)
	}
	if entry := value(t, runKey, "popbridge"); entry != "" {
		t.Errorf("an installation for the machine starts %q at log-on", entry)
	}
	// The program is asked to remove the service as well. Whether it can is left to a real
	// Windows: the service manager of wine says now and then that there is none.
	must(t, msiexec(t, "/x", path))
	_ = exec.CommandContext(t.Context(), "wine", "reg", "delete", service, "/f").Run()
	if exists(filepath.Dir(program)) {
		t.Errorf("%s is there: %v", filepath.Dir(program), exists(program))
	}
	if path := value(t, environment, "PATH"); strings.Contains(path, "popbridge") {
		t.Errorf("PATH is %q", path)
	}
	if !exists(filepath.Join(p.dir, "config.toml")) {
		t.Error("the config is gone")
	}
}
