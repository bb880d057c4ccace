//go:build unix

package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// KMail's IMAP code without its windows: Akonadi's IMAP resource lists, copies
// everything, sees a message arrive in IDLE and what another client changes; a
// flag, a move and a folder made in Akonadi arrive here.
func TestAkonadisIMAPResourceReadsFlagsAndMoves(t *testing.T) {
	rig.Need(t, "dovecot", "akonadictl", "akonadi_imap_resource", "dbus-run-session", "python3")
	t.Parallel()
	d := dovecot(t, nil)
	messages := make([][]byte, 20)
	for i := range messages {
		messages[i] = testkit.Message(i)
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	// Without TLS: it would ask a person about the certificate.
	p := prepare(t, account(d, "home"))
	start(t, p)
	command(t, p, 0, "sync")

	cmd := akonadi(t, p, len(messages))
	converse(t, cmd, map[string]func(){
		"waiting for mail": func() {
			if err := d.Put("home", testkit.Message(100)); err != nil {
				t.Error(err)
			}
			command(t, p, 0, "sync")
		},
		"waiting for changes by another client":     func() { changeForAkonadi(t, p) },
		"waiting for a look at what it has changed": func() { akonadiLeft(t, p, messages) },
	})
	for i, raw := range messages {
		got, err := os.ReadFile(filepath.Join(cmd.Dir, "inbox", fmt.Sprint(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		// KDE's MIME library writes a line with a blank before the first part.
		if got = bytes.ReplaceAll(got, []byte("\n\n \n--"), []byte("\n\n--")); crlf(got) != sum(raw) {
			t.Errorf("Akonadi does not have message %d as it was delivered", i)
		}
	}
	logs, err := filepath.Glob(filepath.Join(cmd.Dir, "imap.*"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(logs, func(log string) bool {
		raw, err := os.ReadFile(log)
		return err == nil && bytes.Contains(raw, []byte("(CHANGEDSINCE "))
	}) {
		t.Error("Akonadi did not ask for what has changed")
	}
	command(t, p, 0, "check")
}

// akonadi is the script in a home of its own, with the passwords of the person
// who runs the tests out of reach.
func akonadi(t *testing.T, p *rig.Popbridge, messages int) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	for _, dir := range []string{"run", ".config/akonadi"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(home, ".config/akonadi/akonadiserverrc"), "[%General]\nDriver=QSQLITE3\n")
	write(t, filepath.Join(home, ".config/kwalletrc"), "[Wallet]\nEnabled=false\n")
	script, err := filepath.Abs("testdata/akonadi.py")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "dbus-run-session", systemPython, script, "127.0.0.1", fmt.Sprint(p.Port), localUser, devicePw, fmt.Sprint(messages))
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+filepath.Join(home, "run"), "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_CACHE_HOME=",
		"QT_QPA_PLATFORM=offscreen", "KIMAP_LOGFILE="+filepath.Join(home, "imap"))
	return cmd
}

// changeForAkonadi flags, expunges and makes a folder as another client.
func changeForAkonadi(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	for uid, flag := range map[imap.UID]imap.Flag{2: imap.FlagFlagged, 3: imap.FlagDeleted} {
		if err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Expunge().Close(); err != nil {
		t.Error(err)
	}
	if err := c.Create("Entwürfe", nil).Wait(); err != nil {
		t.Error(err)
	}
}

// akonadiLeft looks over IMAP at what it did.
func akonadiLeft(t *testing.T, p *rig.Popbridge, messages [][]byte) {
	t.Helper()
	eventually(t, "the changes of Akonadi are there", func() (bool, error) {
		in, archive, names := flagsOf(t, p, "INBOX"), flagsOf(t, p, "Archive"), ownFolders(t, p)
		seen := in[sum(messages[3])]
		_, moved := archive[sum(messages[4])]
		ok := len(in) == len(messages)-1 && len(archive) == 1 && moved && // one has arrived, one is expunged
			slices.Contains(seen, imap.FlagSeen) && slices.Equal(names, []string{"Entwürfe", "R&D"})
		return ok, fmt.Errorf("INBOX has %d messages, Archive %d; flags %v, folders %q", len(in), len(archive), seen, names)
	})
}
