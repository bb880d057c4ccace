//go:build unix

package test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// Evolution's own IMAP code (Camel's IMAPX) without its windows: it is asked
// whether to trust the certificate, lists, searches, downloads, sees a message
// arrive in IDLE, flags, labels, moves, deletes, saves a draft, makes folders.
func TestEvolutionsCamelReadsFlagsMovesAndDeletes(t *testing.T) {
	needCamel(t)
	for _, resync := range []string{"no", "yes"} { // QRESYNC, which a user can switch on
		t.Run("resync "+resync, func(t *testing.T) {
			t.Parallel()
			camel(t, resync)
		})
	}
}

func camel(t *testing.T, resync string) {
	d := dovecot(t, nil)
	messages := make([][]byte, 20)
	for i := range messages {
		messages[i] = testkit.Message(i)
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	p := overTLS(t, "starttls", d)

	dir := t.TempDir()
	out := driveCamel(t, dir, p, resync, bodyWord(t, messages[7]), func() {
		if err := d.Put("home", testkit.Message(100)); err != nil {
			t.Fatal(err)
		}
		command(t, p, 0, "sync")
	})
	for _, must := range []string{"asked to trust", "popbridge local CA", "messages 20", "arrived " + subject(t, testkit.Message(100)), "done"} {
		if !strings.Contains(out, must) {
			t.Errorf("it did not say %q:\n%s", must, out)
		}
	}
	if resync == "no" && !strings.Contains(out, " 8 ") {
		t.Errorf("it did not find message 8:\n%s", out)
	}
	// What it downloaded lies in its cache, byte for byte.
	cached := make(map[[32]byte]bool)
	if err := filepath.WalkDir(filepath.Join(dir, "cache"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var raw []byte
			raw, err = os.ReadFile(path)
			cached[crlf(raw)] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for i, raw := range messages {
		if !cached[sum(raw)] {
			t.Errorf("message %d is not in its cache as it was delivered", i)
		}
	}
	camelLeft(t, p, messages)
	command(t, p, 0, "check")
}

// camelLeft looks over IMAP at what it did.
func camelLeft(t *testing.T, p *rig.Popbridge, messages [][]byte) {
	t.Helper()
	in, archive := flagsOf(t, p, "INBOX"), flagsOf(t, p, "Archive")
	if len(in) != len(messages)-2 || len(archive) != 2 { // one has arrived
		t.Errorf("INBOX has %d messages, Archive %d; want %d and 2", len(in), len(archive), len(messages)-2)
	}
	for i, want := range []imap.Flag{imap.FlagSeen, imap.FlagFlagged, "$Labelimportant", imap.FlagAnswered} {
		if got := in[sum(messages[i])]; !slices.Contains(got, want) {
			t.Errorf("message %d has flags %v, want %s", i, got, want)
		}
	}
	for i := 4; i < 7; i++ {
		_, here := in[sum(messages[i])]
		_, there := archive[sum(messages[i])]
		if here || there != (i < 6) {
			t.Errorf("message %d: in INBOX %v, in Archive %v", i, here, there)
		}
	}
	drafts := fetchAll(t, p, "Drafts")
	if len(drafts) != 1 || !bytes.Contains(drafts[0].body, []byte("not yet")) {
		t.Errorf("Drafts has %d messages, want the one that was written", len(drafts))
	}
	if folders := state(t, p); folders["Süden"].validity == 0 || folders["Süd"].validity != 0 {
		t.Error("the folder that was made and renamed is not there")
	}
}

// driveCamel runs the script, calls deliver when it waits for mail, and returns
// what it printed.
func driveCamel(t *testing.T, dir string, p *rig.Popbridge, resync, words string, deliver func()) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, systemPython, "testdata/evolution_camel.py", dir, "127.0.0.1", fmt.Sprint(p.Port), localUser, devicePw, resync, words)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	return converse(t, cmd, map[string]func(){"waiting": deliver})
}

// converse runs a script that must go through. For a line that it prints, a step
// may be taken, after which it is sent a line. The result is what it printed.
func converse(t *testing.T, cmd *exec.Cmd, steps map[string]func()) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		fmt.Fprintln(&out, lines.Text())
		if step := steps[lines.Text()]; step != nil {
			step()
			_, _ = io.WriteString(stdin, "\n") // a script that has ended says so itself
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), tail(stderr.String()))
	}
	return out.String()
}

// systemPython has the bindings that the scripts use.
const systemPython = "/usr/bin/python3"

func needCamel(t *testing.T) {
	t.Helper()
	rig.Need(t, "dovecot", "python3")
	if out, err := exec.Command(systemPython, "-c", "import gi; gi.require_version('Camel', '1.2')").CombinedOutput(); err != nil {
		if os.Getenv("POPBRIDGE_REAL") == "required" {
			t.Fatalf("Camel's bindings for Python are not installed: %v\n%s", err, out)
		}
		t.Skip("Camel's bindings for Python are not installed")
	}
}
