package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// mac is an unpacked archive, and a home folder on a machine with a launchctl, an xattr,
// an osascript and a popbridge that only note what they are asked.
type mac struct{ archive, home, bin, asked, applications string }

func newMac(t *testing.T) *mac {
	t.Helper()
	rig.Need(t, "sh", "grep")
	dir := t.TempDir()
	m := &mac{dir + "/an archive", dir + `/home of "$ann's`, dir + "/bin", dir + "/asked", dir + "/Applications"}
	for _, folder := range []string{"/man", "/completions"} {
		if err := os.MkdirAll(m.archive+folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{m.home, m.bin} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.unpack(t)
	m.write(t, m.archive+"/man/popbridge.1", "a page")
	m.write(t, m.archive+"/man/popbridge-run.1", "a page")
	m.write(t, m.archive+"/completions/_popbridge", "#compdef popbridge")
	m.write(t, m.bin+"/id", "#!/bin/sh\ncat \"$HOME/uid\" 2>/dev/null || echo 501\n")
	m.write(t, m.bin+"/launchctl", "#!/bin/sh\n[ \"$2\" = gui/501/io.github.popbridge ] && cat \"$HOME/runs\" 2>/dev/null\n")
	m.write(t, m.bin+"/xattr", "#!/bin/sh\n[ -e \"$HOME/marked\" ] || exit 1\n[ \"$1\" = -p ] || echo xattr \"$1\" \"$2\" \"${3##*/}\" >>'"+m.asked+"'\n")
	m.write(t, m.bin+"/osascript", "#!/bin/sh\nprintf '<%s>' \"$@\" >>'"+m.asked+"'\n")
	m.release(t, "1.0.0")
	return m
}

// unpack has from an archive install.sh and the application, with other places for two
// that they name: where root puts applications, and what shows a dialog.
func (m *mac) unpack(t *testing.T) {
	t.Helper()
	t.Chdir(testkit.ModuleRoot(t))
	r := small(t)
	for _, e := range append(r.parts(), entry{"install.sh", "cmd/packages/install.sh", 0o755}) {
		data, err := os.ReadFile(e.from)
		if strings.HasPrefix(e.from, r.work) { // what a release makes
			data, err = []byte(filepath.Base(e.from)), nil
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(m.archive, e.path)), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for place, other := range map[string]string{"apps=/Applications ": "apps='" + m.applications + "' ", "/usr/bin/osascript ": "'" + m.bin + "/osascript' "} {
			text = strings.Replace(text, place, other, 1)
		}
		m.write(t, filepath.Join(m.archive, e.path), text)
	}
}

func (m *mac) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// release puts another program into the archive.
func (m *mac) release(t *testing.T, version string) {
	m.write(t, m.archive+"/popbridge", "#!/bin/sh\n[ \"$1\" = version ] && echo popbridge "+version+" || echo "+version+" \"$@\" >>'"+m.asked+"'\n")
}

// run runs install.sh and returns what it printed, and what was asked of the others.
func (m *mac) run(t *testing.T, good bool, args ...string) (said, asked string) {
	t.Helper()
	_ = os.Remove(m.asked)
	cmd := exec.Command("sh", append([]string{m.archive + "/install.sh"}, args...)...)
	cmd.Env = []string{"HOME=" + m.home, "PATH=" + m.bin + ":" + os.Getenv("PATH"), "SUDO_UID=501", "SUDO_USER=ann"}
	out, err := cmd.CombinedOutput()
	if (err == nil) != good {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	text, _ := os.ReadFile(m.asked) // nothing was asked
	return string(out), string(text)
}

// runs has launchd run the service of ann with this program.
func (m *mac) runs(t *testing.T, program string) {
	t.Helper()
	m.write(t, m.home+"/runs", "\targuments = {\n\t\t"+program+"\n\t\trun\n\t}\n\tpid = 47\n")
}

func TestInstallScript(t *testing.T) {
	m := newMac(t)
	program := m.home + "/.local/bin/popbridge"
	said, asked := m.run(t, true)
	for _, want := range []string{"popbridge 1.0.0\n", `export PATH="` + m.home + `/.local/bin:$PATH"`, "next: popbridge setup, or without a terminal: popbridge in " + m.home + "/Applications\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if asked != "" || strings.Contains(said, "marked") {
		t.Errorf("asked %q, said:\n%s", asked, said)
	}
	app := m.home + "/Applications/popbridge.app"
	installed := []string{program, m.home + "/.local/share/man/man1/popbridge-run.1", m.home + "/.local/share/zsh/site-functions/_popbridge", app + "/Contents/Resources/popbridge.icns"}
	for _, path := range installed {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}

	// An upgrade: the former program stops its service, the next one starts it. The
	// application is another one as a whole, also after an upgrade that was interrupted.
	m.release(t, "1.1.0")
	m.runs(t, program)
	m.write(t, m.home+"/marked", "")
	for _, left := range []string{app, m.home + "/Applications/.popbridge.app.new", m.home + "/Applications/.popbridge.app.old"} {
		if err := os.MkdirAll(left+"/Contents/former", 0o700); err != nil {
			t.Fatal(err)
		}
	}
	said, asked = m.run(t, true)
	unmarked := ""
	for _, name := range []string{".popbridge.new", "Info.plist", "popbridge", "popbridge.icns"} {
		unmarked += "xattr -d com.apple.quarantine " + name + "\n"
	}
	if want := unmarked + "1.0.0 stop\n1.1.0 start\n"; asked != want || !strings.Contains(said, "marked this program as downloaded") || !strings.Contains(said, "from the copies in "+m.home+"/.local/bin and "+m.home+"/Applications\n") {
		t.Errorf("asked %q, want %q, said:\n%s", asked, want, said)
	}
	only := func() {
		t.Helper()
		there, _ := filepath.Glob(filepath.Dir(app) + "/.*")
		if _, err := os.Stat(app + "/Contents/former"); err == nil || len(there) > 0 {
			t.Errorf("left: %q, former: %v", there, err)
		}
	}
	only()

	// One that does not run here replaces nothing and stops nothing.
	m.write(t, m.archive+"/popbridge", "#!/bin/sh\nexit 1\n")
	said, asked = m.run(t, false)
	if !strings.Contains(said, "error: the program does not run") || !strings.Contains(said, "hint: ") || strings.Contains(asked, "stop") {
		t.Errorf("asked %q, said:\n%s", asked, said)
	}
	if left, _ := os.ReadDir(filepath.Dir(program)); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	only()

	m.write(t, m.home+"/config", "")
	if err := os.MkdirAll(m.home+"/Library/LaunchAgents", 0o700); err != nil {
		t.Fatal(err)
	}
	m.write(t, m.home+"/Library/LaunchAgents/io.github.popbridge.plist", "")
	if _, asked = m.run(t, true, "--uninstall"); asked != "1.1.0 uninstall\n" {
		t.Errorf("asked %q", asked)
	}
	for _, path := range installed {
		if _, err := os.Stat(path); err == nil {
			t.Error("still there: ", path)
		}
	}
	for _, args := range [][]string{{"--uninstall"}, {"--to"}, {"--to", "here"}, {"--help"}} {
		if said, _ := m.run(t, false, args...); !strings.Contains(said, "error: ") || !strings.Contains(said, "hint: ") {
			t.Errorf("%q: %s", args, said)
		}
	}
}

// With sudo the program can be the one of a service of ann, which root neither stops nor
// removes.
func TestInstallScriptWithSudo(t *testing.T) {
	m := newMac(t)
	program := m.home + "/local/bin/popbridge"
	to := []string{"--to", filepath.Dir(program)}
	m.write(t, m.home+"/uid", "0\n")
	m.run(t, true, to...)
	m.runs(t, program)
	m.release(t, "1.1.0")
	app := m.applications + "/popbridge.app"
	if text, err := os.ReadFile(app + "/Contents/Resources/program"); string(text) != program+"\n" {
		t.Errorf("%q, %v", text, err)
	}
	if said, asked := m.run(t, true, to...); asked != "" || !strings.Contains(said, "of ann still runs the former program; without sudo: "+program+" restart\n") {
		t.Errorf("asked %q, said:\n%s", asked, said)
	}
	remove := append([]string{"--uninstall"}, to...)
	refused := func() {
		t.Helper()
		said, asked := m.run(t, false, remove...)
		if _, err := os.Stat(program); err != nil || asked != "" || !strings.Contains(said, "error: the service of ann needs ") || !strings.Contains(said, "without sudo: "+program+" uninstall\n") {
			t.Errorf("%v, asked %q, said:\n%s", err, asked, said)
		}
	}
	refused()
	if err := os.Remove(m.home + "/runs"); err != nil { // it was stopped: launchd has only the file
		t.Fatal(err)
	}
	plist := m.home + "/Library/LaunchAgents/io.github.popbridge.plist"
	if err := os.MkdirAll(filepath.Dir(plist), 0o700); err != nil {
		t.Fatal(err)
	}
	m.write(t, plist, "<string>"+program+"</string>\n")
	refused()
	m.write(t, plist, "<string>/elsewhere/popbridge</string>\n") // not of this program
	m.run(t, true, remove...)
	if _, err := os.Stat(program); err == nil {
		t.Error("the program is still there")
	}
	if _, err := os.Stat(app); err == nil {
		t.Error("the application is still there")
	}
}

// What cannot be copied leaves a service that runs alone.
func TestInstallScriptThatCannotCopy(t *testing.T) {
	m := newMac(t)
	program := m.home + "/.local/bin/popbridge"
	m.run(t, true)
	m.runs(t, program)
	page := m.home + "/.local/share/man/man1/popbridge.1"
	if err := os.Remove(page); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(page+"/popbridge.1", 0o700); err != nil { // root, too, cannot write there
		t.Fatal(err)
	}
	m.release(t, "1.1.0")
	app := m.home + "/Applications/popbridge.app/Contents/Resources/popbridge.icns"
	before, err := os.Stat(app)
	if err != nil {
		t.Fatal(err)
	}
	if _, asked := m.run(t, false); asked != "" {
		t.Errorf("asked %q", asked)
	}
	if err := os.Remove(m.archive + "/app/Contents/Resources/popbridge.icns"); err != nil {
		t.Fatal(err)
	}
	m.run(t, false)
	after, err := os.Stat(app)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the application is another: %v", err)
	}
	if left, _ := os.ReadDir(m.home + "/Applications"); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// What is no application of popbridge is not replaced, and what opens another program is
// not removed.
func TestInstallScriptLeavesOtherApplications(t *testing.T) {
	m := newMac(t)
	m.run(t, true)
	elsewhere := []string{"--to", m.home + "/elsewhere"}
	m.run(t, true, elsewhere...)
	if said, _ := m.run(t, true, "--uninstall"); strings.Contains(said, "/Applications") {
		t.Error(said)
	}
	app := m.home + "/Applications/popbridge.app"
	if text, err := os.ReadFile(app + "/Contents/Resources/program"); string(text) != m.home+"/elsewhere/popbridge\n" {
		t.Errorf("%q, %v", text, err)
	}
	if said, _ := m.run(t, true, append([]string{"--uninstall"}, elsewhere...)...); !strings.Contains(said, "from "+m.home+"/elsewhere and "+m.home+"/Applications;") {
		t.Error(said)
	}
	if err := os.Mkdir(app, 0o700); err != nil {
		t.Fatalf("it was not removed: %v", err)
	}
	if said, _ := m.run(t, true); !strings.Contains(said, "there is another popbridge.app in "+m.home+"/Applications, which stays;") || !strings.HasSuffix(said, "next: popbridge setup\n") {
		t.Error(said)
	}
	m.run(t, true, "--uninstall")
	if left, err := os.ReadDir(app); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestInstallScriptIsPortable(t *testing.T) {
	rig.Need(t, "shellcheck")
	for _, script := range []string{"install.sh", "menu/popbridge.sh"} {
		out, err := exec.Command("shellcheck", "--shell=sh", filepath.Join(testkit.ModuleRoot(t), "cmd/packages", script)).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
