package installer

import (
	"os"
	"path/filepath"
	"testing"
)

// The program that is installed last is started at log-on, with the config that was
// chosen before; the entry of another program stays when this one goes.
func TestTheEntryOfAnotherProgram(t *testing.T) {
	if entry, err := installedCommand(); err == nil {
		t.Skipf("popbridge is installed here: %s", entry)
	}
	dir := t.TempDir()
	config, other := filepath.Join(dir, "made", "config.toml"), filepath.Join(dir, "other.toml")
	service := func(program, config string) *Service {
		s, err := New(Options{Executable: filepath.Join(dir, program), ConfigPath: config})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	entry := func(want string) {
		t.Helper()
		if got, _ := installedCommand(); got != want {
			t.Errorf("the entry is %q, want %q", got, want)
		}
	}
	command := func(program string) string {
		return logonCommand(definition{executable: filepath.Join(dir, program), config: config})
	}
	t.Cleanup(func() { _ = (&logonEntry{}).Uninstall() })
	for _, program := range []string{"zip.exe", "msi.exe"} { // the second finds the config of the first
		if err := service(program, map[string]string{"zip.exe": config, "msi.exe": other}[program]).TakeOver(); err != nil {
			t.Fatal(err)
		}
		entry(command(program))
	}
	if info, err := os.Stat(filepath.Dir(config)); err != nil || !info.IsDir() {
		t.Errorf("the folder of the config: %v", err)
	}
	if err := service("zip.exe", config).GiveUp(); err != nil {
		t.Fatal(err)
	}
	entry(command("msi.exe"))
	if err := service("MSI.exe", config).GiveUp(); err != nil {
		t.Fatal(err)
	}
	entry("")
	if _, err := os.Stat(filepath.Dir(config)); err == nil {
		t.Error("the empty folder of the config stays")
	}
}
