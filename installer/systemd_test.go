package installer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/fault"
)

// The names are those of systemd-escape --path --suffix=mount.
func TestMountsOnTheWay(t *testing.T) {
	got := systemdMounts("/home/ann/.config", "/home/Söhne & x", "", `C:\x`, "/"+strings.Repeat("x", maxUnitName))
	want := []string{"home.mount", "home-ann.mount", "home-ann-.config.mount", `home-S\xc3\xb6hne\x20\x26\x20x.mount`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := systemdEscape("/.hidden/a-b"); got != `\x2ehidden-a\x2db` {
		t.Errorf("got %s", got)
	}
}

// Longer and longer waiting times are for a systemd that knows them: an earlier one
// would complain of the key at each start of the machine.
func TestBackOff(t *testing.T) {
	for said, want := range map[string]bool{"systemd 252 (252.39)\n": false, "systemd 254 (254.1)\n+PAM": true, "systemd 257": true, "": false, "systemctl: not found": false} {
		h := with(anns("linux"), func(h *host) { h.output = func([]string) (string, error) { return said, nil } })
		d, err := define(Options{Executable: "/p", ConfigPath: "/c"}, h)
		must(t, err)
		if got := strings.Contains(systemdUnit(d), "RestartSteps="); got != want {
			t.Errorf("%q: %v", said, got)
		}
	}
}

// Where there is no systemd, what to do instead is said.
func TestWithoutSystemd(t *testing.T) {
	for _, c := range []struct{ sign, text, hint string }{
		{"/.dockerenv", "this is a container", "the command of the container"},
		{"/run/.containerenv", "this is a container", "the command of the container"},
		{"/run/openrc", "there is no systemd", "/etc/init.d/popbridge"},
		{"/etc/runit", "there is no systemd", "/etc/sv/popbridge/run"},
		{"", "there is no systemd", "let your init system run `popbridge run"},
	} {
		h := with(anns("linux"), func(h *host) {
			h.platform = "unix-systemv"
			h.exists = func(path string) bool { return path == c.sign }
		})
		err := h.check(true)
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) || !strings.HasSuffix(fault.Hint(err), "docs/service.md") {
			t.Errorf("%q: %v; hint: %s", c.sign, err, fault.Hint(err))
		}
	}
}

// One config has one service.
func TestNotTwice(t *testing.T) {
	s, _ := newService(t, "linux")
	s.host.exists = func(path string) bool { _, err := os.Stat(path); return err == nil }
	install := func(config string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(s.Path()), 0o700))
		must(t, os.WriteFile(s.Path(), []byte("ExecStart=/opt/popbridge run --config "+config+"\n"), 0o600))
	}
	system := &Service{def: definition{system: true, user: "ann", config: s.def.config}, host: s.host}
	system.host.homeOf = func(string) string { return s.host.home }
	must(t, system.notTwice())
	install("/other.toml")
	must(t, system.notTwice())
	install(s.def.config)
	if err := system.notTwice(); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Hint(err), "popbridge uninstall --system=false") {
		t.Errorf("%v", err)
	}
}

// Each kind of log has its place.
func TestWhereTheLogIs(t *testing.T) {
	for _, c := range []struct {
		goos    string
		system  bool
		command string
		place   string
	}{
		{"linux", true, "journalctl --no-pager --lines 9 --follow --unit popbridge", "journalctl -u popbridge"},
		{"linux", false, "journalctl --no-pager --lines 9 --follow --user USER_UNIT=popbridge.service + _SYSTEMD_USER_UNIT=popbridge.service + SYSLOG_IDENTIFIER=popbridge", "journalctl --user -u popbridge"},
		{"darwin", true, "", "/Library/Logs/popbridge/popbridge.log"},
		{"darwin", false, "", "/Users/ann/Library/Logs/popbridge/popbridge.log"},
		{"windows", false, "", `C:\data\popbridge.log`},
	} {
		h := anns(c.goos)
		s := &Service{def: definition{system: c.system, log: h.logFile(c.system), dataDir: `C:\data`}, host: h}
		if got := strings.Join(s.LogCommand(9, true), " "); got != c.command {
			t.Errorf("%s: %s", c.goos, got)
		}
		if got := s.logPlace(); got != c.place || !strings.Contains(s.LogHint(), c.place) {
			t.Errorf("%s: %s", c.goos, got)
		}
	}
}
