package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/state"
)

// Whoever starts with the machine finds a broken config, or a folder that is none, in
// the log, and goes on by itself once it is put right.
func TestUnattendedWaitsForARepairedConfig(t *testing.T) {
	dir, err := os.MkdirTemp("", "pb") // short, for the control socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	t.Setenv("LocalAppData", filepath.Join(dir, "state"))
	path, log := filepath.Join(dir, "config.toml"), filepath.Join(dir, "data", logName)
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("version = 1\ndata_dir = \"data\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("[imap]\nlistne = 1\n")
	a := newApp(strings.NewReader(""), io.Discard, io.Discard)
	a.configPath = path
	ctx, cancel := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- a.unattended(ctx, func() { close(ready) }) }()
	<-ready
	says := func(text string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			data, _ := os.ReadFile(log)
			if strings.Contains(string(data), text) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the log does not say %q:\n%s", text, data)
			}
		}
	}
	says("listne")
	if running := state.Open("", path).Running(); running == nil || running.PID != os.Getpid() {
		t.Errorf("waits: %+v", running)
	}
	configure("[web]\nlisten = \"off\"\n[imap]\nlisten = [\"127.0.0.1:0\"]\ntls = \"off\"\n")
	says("agent started")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	says("agent stopped")
}
