package test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A terminal shows a bar that is drawn again and again; anything else gets
// plain lines.
func TestSyncShowsItsProgress(t *testing.T) {
	rig.Need(t, "dovecot", "script")
	d := dovecot(t, nil)
	for i := range 300 {
		if err := d.Put("home", testkit.Message(i)); err != nil {
			t.Fatal(err)
		}
	}
	// A distant server, so that there is a time to show progress in.
	link, err := rig.StartLink(d.POP3, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	a := account(d, "home")
	a.Port = link.Port

	p := prepare(t, a)
	cmd := exec.CommandContext(t.Context(), "script", "-qec", fmt.Sprintf("stty cols 120 rows 40; '%s' sync --config '%s'", p.Binary, p.ConfigFile()), "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm", "HOME="+p.Dir)
	onTerminal, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, onTerminal)
	}
	if !strings.Contains(string(onTerminal), "\x1b[") || !strings.Contains(string(onTerminal), "/300") {
		t.Errorf("no bar on a terminal: %q", onTerminal)
	}

	p = prepare(t, a)
	out := command(t, p, 0, "sync")
	if plain := out.Stdout + out.Stderr; strings.ContainsAny(plain, "\x1b\r") || !strings.Contains(plain, "300") {
		t.Errorf("not plain lines: %q", plain)
	}
}
