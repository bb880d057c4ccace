package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
)

// TestEnterTextNamesWhatIsMissing: where the outgoing server was not found, setup says at its
// end how popbridge is told of it, and says nothing of that where it sends.
func TestEnterTextNamesWhatIsMissing(t *testing.T) {
	address, err := discover.ParseAddress("ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(sendingConfig, "[account.send]")
	for text, want := range map[string]bool{
		sendingConfig: false,
		head:          true,
		strings.Replace(head, "[[account]]", "[smtp]\nlisten = []\n[[account]]", 1): false,
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		a := newApp(nil, io.Discard, io.Discard)
		a.configPath = path
		got := a.enterText(cfg, cfg.Accounts[0], "secret", discover.Found{Address: address})
		if strings.Contains(got, "account set home send.host=HOST") != want {
			t.Errorf("with the config\n%s\nit says\n%s", text, got)
		}
	}
}
