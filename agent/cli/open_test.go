package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where there is no config yet, the page begins with an empty one; one that is there
// stays as it is.
func TestTheFirstConfig(t *testing.T) {
	a := newApp(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
	a.configPath = filepath.Join(t.TempDir(), "new", "config.toml")
	for _, want := range []string{"version = 1\n", "version = 1\n# mine\n"} {
		if err := a.firstConfig(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(a.configPath)
		if err != nil || strings.HasSuffix(want, "mine\n") && string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := a.loadConfig(); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(a.configPath, []byte("version = 1\n# mine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
