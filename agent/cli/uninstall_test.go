package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/localtls"
	"github.com/popbridge/popbridge/internal/oauth"
)

// Mail is deleted when `delete` was typed, and nothing else.
func TestTheDeletionOfMailIsConfirmed(t *testing.T) {
	dir, err := os.MkdirTemp("", "pb") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	t.Setenv("LocalAppData", filepath.Join(dir, "state"))
	path, data := filepath.Join(dir, "config.toml"), filepath.Join(dir, "data")
	text := "version = 1\ndata_dir = \"data\"\n[[account]]\nname = \"home\"\nhost = \"pop.example.com\"\nusername = \"ann\"\nuser = \"ann\"\npassword_file = \"password\"\n"
	for name, text := range map[string]string{path: text, filepath.Join(dir, "password"): "secret\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	own, err := agent.Open(t.Context(), cfg, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	// What the local network leaves there is its own as well.
	if _, _, err := localtls.Ensure(filepath.Join(data, "tls", "lan"), localtls.LAN(nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "lan-devices.json"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := signin.New(data, zerolog.Nop(), (&app{}).command)
	if _, err := tokens.Keep(t.Context(), config.Account{Name: "home", OAuth: &config.OAuth{Name: "own"}}, oauth.Token{Refresh: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{"", "\n", "y\n", "delete it\n", "DELETE\n", "delete\n"} {
		var said strings.Builder
		a := newApp(strings.NewReader(typed), &said, io.Discard)
		a.configPath = path
		err := a.deleteMail(t.Context(), false)
		if !strings.Contains(said.String(), "of 1 user in "+data) {
			t.Errorf("%q: said %s", typed, said.String())
		}
		_, gone := os.Stat(data)
		if want := typed == "delete\n"; (gone != nil) != want || (err == nil) != want || !want && !fault.Is(err, fault.Denied) {
			t.Errorf("%q: %v; the data folder: %v", typed, err, gone)
		}
	}
}
