package installer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// What was installed is what is started, whoever asks, from wherever.
func TestRunsIsWhatWasInstalled(t *testing.T) {
	for _, path := range []string{"/home/ann/config.toml", `/home/ann/my "mail" 100% {x} $y \ &<>'/config.toml`} {
		for _, goos := range []string{"linux", "darwin"} {
			s := &Service{def: definition{executable: "/opt/popbridge", config: path, system: true, user: "ann", env: []variable{{"PATH", "/bin"}, {"XDG_STATE_HOME", "/home/ann/my state"}}}, host: with(anns(goos), func(h *host) { h.home = t.TempDir() })}
			text := systemdUnit(s.def)
			if goos == "darwin" {
				text = launchdPlist(s.def)
			}
			file := filepath.Join(t.TempDir(), "definition")
			must(t, os.WriteFile(file, []byte(text), 0o600))
			s.def = definition{executable: "/opt/popbridge", config: "/root/other.toml"} // as root sees it later
			must(t, os.MkdirAll(filepath.Dir(s.Path()), 0o700))
			must(t, os.Rename(file, s.Path()))
			state := map[string]string{"linux": "/home/ann/my state"}[goos]
			if got := s.Runs(); got != (Run{path, "ann", false, state}) {
				t.Errorf("%s: it runs as %+v, want %q", goos, got, path)
			}
			must(t, os.Remove(s.Path()))
			if got := s.Runs(); got != (Run{Config: "/root/other.toml"}) {
				t.Errorf("%s: not installed, it would run as %+v", goos, got)
			}
		}
	}
}

func TestTheInstalledServiceIsFound(t *testing.T) {
	const user, system = "/home/ann/.config/systemd/user/popbridge.service", "/etc/systemd/system/popbridge.service"
	for _, c := range []struct {
		files  string
		system bool
	}{{"", false}, {user, false}, {system, true}} {
		h := with(anns("linux"), func(h *host) { h.exists = func(path string) bool { return path == c.files } })
		if got, err := h.find(); got != c.system || err != nil {
			t.Errorf("with %q: system %v, %v", c.files, got, err)
		}
	}
	h := with(anns("linux"), func(h *host) { h.exists = func(path string) bool { return path == user || path == system } })
	if _, err := h.find(); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Hint(err), "--system=false") {
		t.Errorf("with both: %v", err)
	}
}

// A service of root has no home folder, and so no place for its mail unless the
// config names one.
func TestAServiceWithoutAHomeFolder(t *testing.T) {
	for _, c := range []struct {
		goos string
		d    definition
		ok   bool
	}{
		{"linux", definition{system: true}, false},
		{"darwin", definition{system: true}, false},
		{"linux", definition{system: true, hasDataDir: true}, true},
		{"linux", definition{system: true, user: "ann"}, true},
		{"linux", definition{system: true, user: "nosuch"}, false},
		{"linux", definition{system: true, user: "nosuch", hasDataDir: true}, true},
		{"linux", definition{}, true},
		{"windows", definition{system: true}, true},
	} {
		s := &Service{def: c.d, host: anns(c.goos)}
		if err := s.hasHome(); (err == nil) != c.ok || err != nil && (!fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "data_dir")) {
			t.Errorf("%s %+v: %v", c.goos, c.d, err)
		}
	}
}
