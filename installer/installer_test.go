package installer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
)

// anns is a machine on which everything is in order.
func anns(goos string, env ...string) host {
	vars := map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	h := host{
		goos: goos, platform: "linux-systemd", uid: 1000, user: "ann", home: "/home/ann",
		getenv: func(name string) string { return vars[name] },
		exists: func(path string) bool { return path == "/run/user/1000/systemd" },
		run:    func([]string) error { return errors.New("nothing is to be run") },
		output: func([]string) (string, error) { return "systemd 252 (252.39-1~deb12u1)\n", nil },
		homeOf: func(user string) string { return map[string]string{"ann": "/home/ann"}[user] },
	}
	switch goos {
	case "darwin":
		h.platform, h.home = "darwin-launchd", "/Users/ann"
	case "windows":
		h.platform, h.uid, h.home, h.account = "windows-service", -1, `C:\Users\ann`, "S-1-5-21-1-2-3-1001"
	}
	return h
}

func with(h host, change func(*host)) host { change(&h); return h }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name       string
		host       host
		system     bool
		kind       fault.Kind
		text, hint string // empty text: it can be installed
	}{
		{name: "linux", host: anns("linux")},
		{name: "mac", host: anns("darwin")},
		{name: "windows", host: anns("windows")},
		{name: "linux system", host: with(anns("linux"), func(h *host) { h.uid = 0 }), system: true},
		{"container", with(anns("linux"), func(h *host) { h.platform = "unix-systemv" }), false, fault.NotFound, "there is no systemd", "popbridge run"},
		{"system without root", anns("linux"), true, fault.Denied, "only be managed by root", "run it with sudo"},
		{"system without root on a mac", anns("darwin"), true, fault.Denied, "only be managed by root", "run it with sudo"},
		{"sudo by habit", with(anns("linux", "SUDO_USER=ann"), func(h *host) { h.uid = 0 }), false, fault.Config, "a service of the user root", "omit sudo"},
		{"doas by habit", with(anns("linux", "DOAS_USER=ann"), func(h *host) { h.uid = 0 }), false, fault.Config, "with doas this would be a service of the user root", "omit doas"},
		{"no home", with(anns("darwin"), func(h *host) { h.home = "" }), false, fault.Config, "no home folder", "--system"},
		{"su", anns("linux", "XDG_RUNTIME_DIR="), false, fault.Config, "cannot be reached", "run: export XDG_RUNTIME_DIR=/run/user/1000"},
		{"cron", with(anns("linux", "XDG_RUNTIME_DIR="), func(h *host) { h.uid = 7 }), false, fault.Config, "cannot be reached", "log in as this user"},
		{"other runtime dir", anns("linux", "XDG_RUNTIME_DIR=/tmp/x"), false, fault.Config, "cannot be reached", "log in as this user"},
	} {
		err := c.host.check(c.system)
		if c.text == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) {
			t.Errorf("%s: %v (%v); hint: %s", c.name, err, fault.KindOf(err), fault.Hint(err))
		}
	}
}

func TestDefineRefuses(t *testing.T) {
	for _, c := range []struct {
		goos string
		o    Options
		env  string
		text string
	}{
		{"linux", Options{Executable: "popbridge", ConfigPath: "/c"}, "", "program is not absolute"},
		{"linux", Options{Executable: "/ann's/p", ConfigPath: "/c"}, "", "quotes or a backslash"},
		{"linux", Options{Executable: "/p"}, "", "config file is not absolute"},
		{"linux", Options{Executable: "/p", ConfigPath: "/a\nExecStart=/bin/sh"}, "", "control character"},
		{"linux", Options{Executable: "/p", ConfigPath: "/\xff"}, "", "control character"},
		{"linux", Options{Executable: "/p", ConfigPath: "/c", System: true}, "SUDO_USER=ann\nExecStart=x", "not the name of a user"},
		{"windows", Options{Executable: `\p.exe`, ConfigPath: `C:\c`}, "", "program is not absolute"},
		{"windows", Options{Executable: `C:\p.exe`, ConfigPath: `c.toml`}, "", "config file is not absolute"},
		{"windows", Options{Executable: `C:\p.exe`, ConfigPath: `\\server\c.toml`, DataDir: "x"}, "", "data folder is not absolute"},
	} {
		_, err := define(c.o, anns(c.goos, c.env))
		if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	// This test itself is such a program.
	if _, err := define(Options{ConfigPath: "/c"}, anns("linux")); !strings.Contains(fault.Hint(err), "go build") {
		t.Errorf("temporary program: %v", err)
	}
}

// fake is a service manager that notes what it is asked.
type fake struct {
	calls  []string
	path   string // written by Install
	shows  string // by systemctl, after the state
	status service.Status
	errs   map[string]error
}

func (f *fake) call(name string) error { f.calls = append(f.calls, name); return f.errs[name] }
func (f *fake) Start() error           { return f.call("start") }
func (f *fake) Stop() error            { return f.call("stop") }
func (f *fake) Restart() error         { return f.call("restart") }
func (f *fake) Uninstall() error       { return f.call("uninstall") }

func (f *fake) Install() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(f.path, nil, 0o600); err != nil {
		return err
	}
	return f.call("install")
}

func (f *fake) Status() (service.Status, error) { return f.status, f.errs["status"] }

// systemctl answers a `systemctl show`.
func (f *fake) systemctl([]string) (string, error) {
	state := "inactive"
	if f.status == service.StatusRunning {
		state = "active"
	}
	return "ActiveState=" + state + "\n" + f.shows, f.errs["status"]
}

// newService returns a service on a machine whose home folder is real.
func newService(t *testing.T, goos string) (*Service, *fake) {
	t.Helper()
	h := anns(goos)
	exe, cfg := "/opt/popbridge", "/etc/config.toml"
	if goos != "windows" {
		h.home = t.TempDir()
	} else {
		exe = `C:\popbridge.exe`
		cfg = `C:\popbridge\config.toml`
	}
	def, err := define(Options{Executable: exe, ConfigPath: cfg}, h)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{path: def.path(h), status: service.StatusStopped, errs: map[string]error{}}
	h.output = f.systemctl
	return &Service{def, h, f}, f
}

func install(t *testing.T, s *Service) string {
	t.Helper()
	note, err := s.Install()
	if err != nil {
		t.Fatal(err)
	}
	return note
}

func (f *fake) want(t *testing.T, calls ...string) {
	t.Helper()
	if diff := cmp.Diff(calls, f.calls); diff != "" {
		t.Errorf("asked of the service manager (-want +got)\n%s", diff)
	}
	f.calls = nil
}

func TestLifecycle(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			s, f := newService(t, goos)
			for name, do := range map[string]func() error{"uninstall": s.Uninstall, "start": s.Start, "stop": s.Stop, "restart": s.Restart} {
				if err := do(); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Hint(err), "popbridge install") {
					t.Errorf("%s before install: %v", name, err)
				}
			}
			f.want(t)
			if note := install(t, s); (goos == "linux") != strings.Contains(note, "loginctl enable-linger") {
				t.Errorf("note %q", note)
			}
			f.want(t, "install")
			if _, err := s.Install(); !fault.Is(err, fault.Conflict) {
				t.Errorf("install again: %v", err)
			}
			must(t, s.Stop()) // it does not run
			f.want(t)
			must(t, s.Start())
			f.want(t, "start")
			f.status = service.StatusRunning
			must(t, s.Start())
			f.want(t)
			must(t, s.Restart())
			f.want(t, "restart")
			must(t, s.Uninstall())
			f.want(t, "stop", "uninstall")
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestInstallThatFails(t *testing.T) {
	s, f := newService(t, "linux")
	f.errs["install"] = errors.New("exit status 1")
	_, err := s.Install()
	if !fault.Is(err, fault.Internal) || !strings.Contains(fault.Hint(err), "journalctl --user -u popbridge") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	f.want(t, "install", "uninstall")
	delete(f.errs, "install")
	install(t, s) // nothing is in its way

	s, f = newService(t, "linux")
	f.errs["install"] = fmt.Errorf("open: %w", os.ErrPermission)
	if _, err := s.Install(); !fault.Is(err, fault.Denied) || fault.Hint(err) != "run it with sudo" {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
}

func TestLingering(t *testing.T) {
	s, _ := newService(t, "linux")
	s.host.exists = func(path string) bool { return path == "/var/lib/systemd/linger/ann" }
	if note := install(t, s); note != "" {
		t.Errorf("note %q", note)
	}
	s.host.user = ""
	if s.host.lingers() {
		t.Error("no one lingers")
	}
}

func TestWindowsGrants(t *testing.T) {
	d, err := define(Options{Executable: `C:\p.exe`, ConfigPath: `C:\Users\ann\AppData\Roaming\popbridge\config.toml`, DataDir: `C:\Users\ann\AppData\Local\popbridge`, System: true}, anns("windows"))
	must(t, err)
	want := []grant{{"config file", `C:\Users\ann\AppData\Roaming\popbridge`, "RX"}, {"data folder", `C:\Users\ann\AppData\Local\popbridge`, "M"}}
	if got := d.grants("windows"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := d.grants("linux"); got != nil {
		t.Errorf("elsewhere: %q", got)
	}
	if got, want := strings.Join(icacls(want[1]), " "), `icacls C:\Users\ann\AppData\Local\popbridge /grant:r NT SERVICE\popbridge:(OI)(CI)M /Q`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for path, want := range map[string]string{`C:\a.toml`: `C:\`, `C:/a/b.toml`: `C:/a`, `\\s\share\b.toml`: `\\s\share`} {
		if got := windowsDir(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestInstallOnWindowsGrants(t *testing.T) {
	s, f := newService(t, "windows")
	f.path, f.errs["status"] = filepath.Join(t.TempDir(), "registered"), service.ErrNotInstalled
	s.def.config, s.def.system = filepath.Join(t.TempDir(), "config.toml"), true // a folder that can be made here
	var ran []string
	s.host.run = func(argv []string) error { ran = append(ran, argv[0]); return nil }
	if note := install(t, s); !strings.Contains(note, "password_file") {
		t.Errorf("note %q", note)
	}
	if !slices.Equal(ran, []string{"icacls", "icacls"}) { // program and folder
		t.Errorf("ran %q", ran)
	}
	f.calls = nil
	s.host.run = func([]string) error { return os.ErrPermission }
	if _, err := s.Install(); !fault.Is(err, fault.Denied) || !strings.Contains(fault.Hint(err), "administrator") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	f.want(t, "install", "uninstall")
}

// The folder of a daemon's log is made by root, and belongs to the user as whom launchd
// opens the log.
func TestTheLogOfADaemonBelongsToItsUser(t *testing.T) {
	s, _ := newService(t, "darwin")
	s.def.log, s.def.user, s.def.system = filepath.Join(t.TempDir(), "Logs", "popbridge.log"), "ann", true
	var ran []string
	s.host.run = func(argv []string) error { ran = append(ran, strings.Join(argv, " ")); return nil }
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	if want := "chown ann " + filepath.Dir(s.def.log); !slices.Equal(ran, []string{want}) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	s.host.run = func([]string) error { return os.ErrPermission }
	if err := s.prepare(); !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
}

// For one user nothing needs an administrator.
func TestInstallOnWindowsForOneUser(t *testing.T) {
	s, f := newService(t, "windows")
	f.path, f.errs["status"] = filepath.Join(t.TempDir(), "registered"), service.ErrNotInstalled
	if note := install(t, s); !strings.Contains(note, "log-on") || strings.Contains(note, "password_file") {
		t.Errorf("note %q", note)
	}
	d := definition{executable: `C:\Program Files\popbridge\popbridge.exe`, config: `C:\Users\Jörg Ü\config.toml`}
	if got, want := logonCommand(d), `"C:\Program Files\popbridge\popbridge.exe" background --config "C:\Users\Jörg Ü\config.toml"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := logonConfig(logonCommand(d)); got != d.config {
		t.Errorf("config %s", got)
	}
	if got := logonConfig(""); got != "" {
		t.Errorf("config %s of nothing", got)
	}
	if stopEvent(`C:\A\c.toml`) != stopEvent(`c:\a\C.TOML`) || stopEvent(`C:\a`) == stopEvent(`C:\b`) {
		t.Error("the event does not stand for one config")
	}
}

func TestTheInstalledServiceOfWindowsIsFound(t *testing.T) {
	for _, c := range []struct{ user, system bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		h := with(anns("windows"), func(h *host) { h.entries = func() (bool, bool) { return c.user, c.system } })
		if got, err := h.find(); got != (c.system && !c.user) || (err != nil) != (c.user && c.system) {
			t.Errorf("%+v: system %v, %v", c, got, err)
		}
	}
}

// A service of root runs only what root alone can change, also when /tmp is
// emptied at a start; one that runs as a user is that user's business.
func TestAServiceOfRootRunsWhatOnlyRootCanChange(t *testing.T) {
	dir := t.TempDir() // below the folder for temporary files
	file := filepath.Join(dir, "popbridge")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	const safe = "/no/such/file"
	for _, c := range []struct {
		program, config, user string
		refused               bool
	}{
		{file, safe, "", true}, {safe, file, "", true}, {safe, safe, "", false}, {file, file, "ann", false},
	} {
		s := &Service{def: definition{executable: c.program, config: c.config, system: true, user: c.user}, host: host{goos: "linux"}}
		err := s.safeForRoot()
		if runtime.GOOS != "windows" && (err != nil) != c.refused || err != nil && (!fault.Is(err, fault.Denied) || fault.Hint(err) == "") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
