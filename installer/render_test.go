package installer

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kardianos/service"
)

var update = flag.Bool("update", false, "write what is rendered as what is wanted")

// rendered is a case for a golden file.
type rendered struct {
	file string
	goos string
	o    Options
	env  []string
}

// nasty is a path that has to be escaped everywhere; a program that systemd runs
// cannot have quotes and backslashes in its path.
const (
	nasty        = nastyProgram + ` it's "Ann" \n`
	nastyProgram = `100% Ann & Söhne <$HOME> {{Path}}`
)

var cases = []rendered{
	{"user.service", "linux", Options{Executable: "/usr/bin/popbridge", ConfigPath: "/home/ann/.config/popbridge/config.toml"}, nil},
	{"user-env.service", "linux", Options{Executable: "/home/ann/bin/popbridge", ConfigPath: "/home/ann/.config/popbridge/config.toml"}, []string{"PATH=/home/ann/100% {mine}:/usr/bin", "XDG_DATA_HOME=/data", "SUDO_USER=bob", "OTHER=x"}},
	{"system.service", "linux", Options{Executable: "/usr/bin/popbridge", ConfigPath: "/etc/popbridge/config.toml", System: true}, []string{"PATH=/sbin"}},
	{"system-sudo.service", "linux", Options{Executable: "/usr/bin/popbridge", ConfigPath: "/home/ann/.config/popbridge/config.toml", System: true}, []string{"SUDO_USER=ann"}},
	{"system-sudo.service", "linux", Options{Executable: "/usr/bin/popbridge", ConfigPath: "/home/ann/.config/popbridge/config.toml", System: true}, []string{"DOAS_USER=ann"}},
	{"nasty.service", "linux", Options{Executable: "/opt/" + nastyProgram + "/popbridge", ConfigPath: "/etc/" + nasty + "/config.toml"}, nil},
	{"user.plist", "darwin", Options{Executable: "/Applications/popbridge", ConfigPath: "/Users/ann/Library/Application Support/popbridge/config.toml"}, []string{"PATH=/opt/homebrew/bin:/usr/bin"}},
	{"system.plist", "darwin", Options{Executable: "/usr/local/bin/popbridge", ConfigPath: "/etc/popbridge.toml", System: true}, []string{"SUDO_USER=ann", "PATH=/x"}},
	{"nasty.plist", "darwin", Options{Executable: "/opt/" + nasty + "/popbridge", ConfigPath: "/etc/" + nasty + "/config.toml"}, nil},
	{"entry.windows", "windows", Options{Executable: `C:\Program Files\popbridge\popbridge.exe`, ConfigPath: `C:\Users\ann\AppData\Roaming\popbridge\config.toml`, System: true}, []string{`LocalAppData=C:\Users\ann\AppData\Local`, `UserProfile=C:\Users\ann`, "PATH=x"}},
}

func (c rendered) config(t *testing.T) *service.Config {
	t.Helper()
	return c.definition(t).kardianos(c.goos)
}

func (c rendered) definition(t *testing.T) definition {
	t.Helper()
	d, err := define(c.o, anns(c.goos, c.env...))
	must(t, err)
	return d
}

// text is what is installed. Windows has no text, so there it is the entry.
func (c rendered) text(t *testing.T) string {
	if c.goos == "darwin" {
		return launchdPlist(c.definition(t))
	}
	cfg := c.config(t)
	switch c.goos {
	case "linux":
		return cfg.Option["SystemdScript"].(string)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Name: %s\nDisplayName: %s\nDescription: %s\nUserName: %s\nExecutable: %s\nArguments: %q\n",
		cfg.Name, cfg.DisplayName, cfg.Description, cfg.UserName, cfg.Executable, cfg.Arguments)
	for _, k := range slices.Sorted(maps.Keys(cfg.Option)) {
		fmt.Fprintf(&b, "Option %s: %v\n", k, cfg.Option[k])
	}
	for _, k := range slices.Sorted(maps.Keys(cfg.EnvVars)) {
		fmt.Fprintf(&b, "Env %s: %s\n", k, cfg.EnvVars[k])
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			got, golden := c.text(t), filepath.Join("testdata", c.file)
			if c.goos != "windows" && strings.Contains(got, "{") {
				t.Error("there is a template action in it")
			}
			if *update {
				must(t, os.WriteFile(golden, []byte(got), 0o644))
				return
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestPackagedUnits renders what packages bring.
func TestPackagedUnits(t *testing.T) {
	files := Packaged()
	for path, golden := range map[string]string{packagedUser: "package-user.service", packagedSystem: "package-system.service"} {
		golden = filepath.Join("testdata", golden)
		if *update {
			must(t, os.WriteFile(golden, []byte(files[path]), 0o644))
			continue
		}
		want, err := os.ReadFile(golden)
		must(t, err)
		if diff := cmp.Diff(string(want), files[path]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
	if len(files) != 3 {
		t.Errorf("%d files", len(files))
	}
}

// A packaged unit is a service once it is enabled or runs, and not beside one that was
// installed.
func TestAPackagedUnitIsFound(t *testing.T) {
	for _, c := range []struct {
		own  bool
		said string
		want bool
	}{
		{false, "ActiveState=inactive\nUnitFileState=disabled\n", false},
		{false, "ActiveState=inactive\nUnitFileState=enabled\n", true},
		{false, "ActiveState=active\nUnitFileState=disabled\n", true},
		{false, "ActiveState=activating\nUnitFileState=disabled\n", true},
		{true, "ActiveState=active\nUnitFileState=enabled\n", false},
	} {
		var asked []string
		h := with(anns("linux"), func(h *host) {
			h.exists = func(path string) bool {
				return path == packagedUser || path == packagedSystem || c.own && path == "/etc/systemd/system/popbridge.service"
			}
			h.output = func(argv []string) (string, error) { asked = argv; return c.said, nil }
		})
		s := &Service{def: definition{system: true}, host: h}
		if got := s.packaged(); got != c.want || !c.own && asked[1] != "show" {
			t.Errorf("%+v: %v, asked %q", c, got, asked)
		}
		if got := s.unit(); (got == packagedSystem) != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestPlistIsRead reads the property lists as launchd would.
func TestPlistIsRead(t *testing.T) {
	for _, c := range cases {
		if c.goos != "darwin" {
			continue
		}
		var list struct {
			Dict struct {
				Keys   []string `xml:"key"`
				Arrays []struct {
					Strings []string `xml:"string"`
				} `xml:"array"`
			} `xml:"dict"`
		}
		d := xml.NewDecoder(strings.NewReader(c.text(t)))
		if err := d.Decode(&list); err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) && err != nil {
			t.Errorf("%s: after the list: %v", c.file, err)
		}
		want := []string{c.o.Executable, "run", "--config", c.o.ConfigPath}
		if len(list.Dict.Arrays) != 1 || !slices.Equal(list.Dict.Arrays[0].Strings, want) {
			t.Errorf("%s: runs %q, want %q", c.file, list.Dict.Arrays, want)
		}
		for _, key := range []string{"Label", "RunAtLoad", "KeepAlive", "Umask", "StandardErrorPath"} {
			if !slices.Contains(list.Dict.Keys, key) {
				t.Errorf("%s: no %s", c.file, key)
			}
		}
	}
}

// TestSystemdAccepts asks systemd itself about every unit, with programs that
// exist, since it looks for them.
func TestSystemdAccepts(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("POPBRIDGE_REAL") == "required" {
			t.Fatal(err)
		}
		t.Skip("systemd-analyze is not there: ", err)
	}
	for _, c := range cases {
		if c.goos != "linux" {
			continue
		}
		t.Run(c.file, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), nastyProgram)
			must(t, os.Mkdir(dir, 0o700))
			c.o.Executable = filepath.Join(dir, "popbridge")
			c.o.ConfigPath = filepath.Join(t.TempDir(), nasty)
			must(t, os.WriteFile(c.o.Executable, []byte("#!/bin/sh\n"), 0o700))
			unit := filepath.Join(t.TempDir(), "popbridge.service")
			must(t, os.WriteFile(unit, []byte(c.text(t)), 0o600))
			args := []string{"verify", "--man=no", "--user", unit}
			if c.o.System {
				args = []string{"verify", "--man=no", unit}
			}
			cmd := exec.Command(analyze, args...)
			// A user's systemd wants a folder, which a container lacks.
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "SYSTEMD_LOG_LEVEL=warning")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "popbridge.service") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestInstallsOurText goes through kardianos/service with a systemctl that only
// notes what it is asked.
func TestInstallsOurText(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems' service managers cannot be replaced")
	}
	home := t.TempDir()
	asked := filepath.Join(home, "asked")
	must(t, os.WriteFile(filepath.Join(home, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >>'"+asked+"'\n"), 0o700))
	t.Setenv("HOME", home)
	t.Setenv("PATH", home+":"+os.Getenv("PATH"))
	h := with(anns("linux"), func(h *host) { h.home = home })
	def, err := define(Options{Executable: "/opt/" + nastyProgram, ConfigPath: "/etc/" + nasty}, h)
	must(t, err)
	m, err := service.AvailableSystems()[0].New(nil, def.kardianos("linux"))
	must(t, err)
	if m.Platform() != "linux-systemd" {
		t.Fatalf("the first one is %s", m.Platform())
	}
	s := &Service{def, h, m}
	install(t, s)
	got, err := os.ReadFile(s.Path())
	must(t, err)
	if diff := cmp.Diff(systemdUnit(def), string(got)); diff != "" {
		t.Errorf("(-rendered +installed)\n%s", diff)
	}
	must(t, s.Uninstall())
	if status, err := s.Status(); status != NotInstalled {
		t.Errorf("afterwards: %v, %v", status, err)
	}
	log, err := os.ReadFile(asked)
	must(t, err)
	for _, want := range []string{"enable --user popbridge.service", "daemon-reload --user", "disable --user popbridge.service"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("systemctl was not asked to %s:\n%s", want, log)
		}
	}
}
