package trust

import (
	"os"
	"path/filepath"
	"testing"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// macOS and Windows have their own folders. Without certutil they are left out there:
// the programs read the store of the system.
func TestProfilesOfOtherSystems(t *testing.T) {
	for goos, dir := range map[string]string{"darwin": "Library/Thunderbird/Profiles/a.default", "windows": "AppData/Roaming/Mozilla/Firefox/Profiles/a.default"} {
		home := t.TempDir()
		put(t, filepath.Join(home, filepath.FromSlash(dir), databaseFile), "")
		found := host{goos: goos, home: home}.databases()
		if len(found) != 1 || found[0].Path != filepath.Join(home, filepath.FromSlash(dir)) {
			t.Errorf("%s: %v", goos, found)
		}
		without := host{goos: goos, home: home, getenv: os.Getenv, look: func(string) (string, error) { return "", os.ErrNotExist }}
		if got, native := len(without.find()), len(without.native()); got != native {
			t.Errorf("%s: %d stores without certutil, want %d", goos, got, native)
		}
	}
}
