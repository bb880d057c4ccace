package installer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/fault"
)

// launchd is one that notes what it is asked. A job takes a while to go.
type launchd struct {
	asked           []string
	loaded, running bool
	leaving         int // how often print still finds a job that was unloaded
	refuses         bool
}

func (f *launchd) output(argv []string) (string, error) {
	if argv[0] != "launchctl" {
		return "", errors.New("unexpected " + argv[0])
	}
	if argv[1] != "print" {
		f.asked = append(f.asked, strings.Join(argv[1:], " "))
	}
	switch argv[1] {
	case "print":
		if !f.loaded && f.leaving == 0 {
			return "", errors.New("launchctl: exit status 113, saying Could not find service")
		}
		if !f.loaded {
			f.leaving--
		}
		if f.running {
			return "io.github.popbridge = {\n\tstate = running\n\tpid = 4711\n}\n", nil
		}
		return "io.github.popbridge = {\n\tstate = not running\n\tlast exit code = 2\n}\n", nil
	case "bootstrap":
		if f.refuses || f.loaded || f.leaving > 0 {
			return "", errors.New("launchctl: exit status 5, saying Bootstrap failed: 5: Input/output error")
		}
		f.loaded, f.running = true, true
	case "bootout":
		f.loaded, f.running, f.leaving = false, false, max(f.leaving, 20)
		return "", errors.New("launchctl: exit status 36, saying Boot-out failed: 36: Operation now in progress")
	}
	return "", nil
}

// onMac is a service on a Mac with this launchd.
func onMac(t *testing.T, f *launchd, system bool) *Service {
	t.Helper()
	home := t.TempDir()
	h := with(anns("darwin"), func(h *host) {
		h.home, h.uid, h.output = home, 501, f.output
		h.run = func(argv []string) error { _, err := f.output(argv); return err }
		h.exists = func(path string) bool { _, err := os.Stat(path); return err == nil }
	})
	def, err := define(Options{Executable: "/usr/local/bin/popbridge", ConfigPath: "/Users/ann/config.toml", System: system}, h)
	must(t, err)
	return &Service{def, h, &launchctl{def, h}}
}

func TestLaunchctl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that waiting takes no time
		f := &launchd{}
		s := onMac(t, f, false)
		want := func(asked ...string) {
			t.Helper()
			if diff := cmp.Diff(asked, f.asked); diff != "" {
				t.Errorf("asked of launchd (-want +got)\n%s", diff)
			}
			f.asked = nil
		}
		const target = "gui/501/io.github.popbridge"
		start := []string{"enable " + target, "bootstrap gui/501 " + s.Path()}
		install(t, s)
		text, err := os.ReadFile(s.Path())
		must(t, err)
		if string(text) != launchdPlist(s.def) {
			t.Errorf("installed:\n%s", text)
		}
		want()
		must(t, s.Start())
		want(start...)
		if status, err := s.Status(); status != Running || err != nil {
			t.Errorf("after start: %s, %v", status, err)
		}
		must(t, s.Restart()) // only when the former process has gone
		want(append([]string{"bootout " + target}, start...)...)
		f.running = false // it has ended by itself; launchd keeps it
		if status, err := s.Status(); status != Stopped || err != nil {
			t.Errorf("after it ended: %s, %v", status, err)
		}
		must(t, s.Start())
		want(append([]string{"bootout " + target}, start...)...)
		must(t, s.Stop())
		want("bootout " + target)
		must(t, s.Uninstall())
		want()
		if status, err := s.Status(); status != NotInstalled || err != nil {
			t.Errorf("after uninstall: %s, %v", status, err)
		}
	})
}

func TestLaunchctlThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &launchd{refuses: true}
		s := onMac(t, f, false)
		install(t, s)
		if err := s.Start(); !fault.Is(err, fault.Internal) || !strings.Contains(fault.Hint(err), "at the screen") || !strings.Contains(err.Error(), "does not take") {
			t.Errorf("%v; hint: %s", err, fault.Hint(err))
		}
		f.loaded, f.leaving = false, 1<<30
		if err := s.manager.Stop(); err == nil || !strings.Contains(err.Error(), "still has it") {
			t.Errorf("one that does not go: %v", err)
		}
	})
}

func TestLaunchctlOfTheSystem(t *testing.T) {
	if got := (&launchctl{definition{system: true}, host{}}).target(); got != "system/io.github.popbridge" {
		t.Error(got)
	}
}

// TestPlistutilReads asks libplist about every property list.
func TestPlistutilReads(t *testing.T) {
	plistutil, err := exec.LookPath("plistutil")
	if err != nil {
		if os.Getenv("POPBRIDGE_REAL") == "required" {
			t.Fatal(err)
		}
		t.Skip("plistutil is not there: ", err)
	}
	for _, c := range cases {
		if c.goos != "darwin" {
			continue
		}
		// To a binary list and back: what is not read is not there.
		dir := t.TempDir()
		binary, back := filepath.Join(dir, "binary"), filepath.Join(dir, "back")
		for _, argv := range [][]string{{"-i", filepath.Join("testdata", c.file), "-o", binary, "-f", "bin"}, {"-i", binary, "-o", back, "-f", "xml"}} {
			if out, err := exec.Command(plistutil, argv...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", c.file, err, out)
			}
		}
		text, err := os.ReadFile(back)
		must(t, err)
		for _, want := range []string{"<string>" + LaunchLabel + "</string>", "<key>ProcessType</key>", "<integer>63</integer>", "<string>--config</string>"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s:\n%s", c.file, want, text)
			}
		}
	}
}
