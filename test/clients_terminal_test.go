//go:build unix

package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/test/rig"
)

// terminal is a program that wants a terminal, in one of tmux's. The server is
// the test's own.
type terminal struct {
	t           *testing.T
	dir, socket string
	ended       string // holds the exit code once the program has ended
}

// inTerminal starts a program; env is as for os/exec.
func inTerminal(t *testing.T, dir string, env []string, args ...string) *terminal {
	t.Helper()
	run, err := os.MkdirTemp(dir, "tmux") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	w := &terminal{t: t, dir: dir, socket: filepath.Join(run, "s"), ended: filepath.Join(run, "ended")}
	script := fmt.Sprintf("%s '%s'; echo $? >'%s.new'; mv '%s.new' '%s'", strings.Join(env, " "), strings.Join(args, "' '"), w.ended, w.ended, w.ended)
	t.Cleanup(func() { _, _ = w.tmux("kill-server") })
	if out, err := w.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", script); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	return w
}

func (w *terminal) tmux(args ...string) ([]byte, error) {
	cmd := exec.Command("tmux", append([]string{"-S", w.socket}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "TERM=xterm", "LANG=C.UTF-8", "XDG_CONFIG_HOME="+w.dir, "XDG_CACHE_HOME="+w.dir, "XDG_DATA_HOME="+w.dir)
	cmd.Dir = w.dir
	return cmd.CombinedOutput()
}

// press types text, or keys by their tmux names such as Enter, which no text
// here is equal to.
func (w *terminal) press(keys ...string) {
	w.t.Helper()
	if out, err := w.tmux(append([]string{"send-keys", "--"}, keys...)...); err != nil {
		w.t.Fatalf("tmux: %v: %s", err, out)
	}
}

// shows waits until the screen has a text, hides until it has it no more.
func (w *terminal) shows(text string) { w.t.Helper(); w.screen(text, true) }
func (w *terminal) hides(text string) { w.t.Helper(); w.screen(text, false) }

func (w *terminal) screen(text string, want bool) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%q on the screen: %v", text, want), func() (bool, error) {
		screen, err := w.tmux("capture-pane", "-p")
		return err == nil && bytes.Contains(screen, []byte(text)) == want, fmt.Errorf("%v; the screen:\n%s", err, bytes.TrimSpace(screen))
	})
}

// ends waits until the program has ended by itself, without an error.
func (w *terminal) ends() {
	w.t.Helper()
	var code []byte
	eventually(w.t, "the program ends", func() (bool, error) {
		var err error
		if code, err = os.ReadFile(w.ended); err == nil {
			return true, nil
		}
		screen, _ := w.tmux("capture-pane", "-p")
		return false, fmt.Errorf("%w; the screen:\n%s", err, bytes.TrimSpace(screen))
	})
	if strings.TrimSpace(string(code)) != "0" {
		w.t.Fatalf("exit %s", code)
	}
}

// script writes an executable file.
func script(t *testing.T, path, text string) string {
	t.Helper()
	write(t, path, "#!/bin/sh\n"+text)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A session at neomutt's keyboard, while another client changes the mailbox, and
// a second one that finds its header cache.
func TestNeomuttReadsFlagsMovesSearchesAndReplies(t *testing.T) {
	rig.Need(t, "dovecot", "neomutt", "tmux")
	for _, resync := range []string{"no", "yes"} { // CONDSTORE and QRESYNC
		t.Run("resync "+resync, func(t *testing.T) {
			t.Parallel()
			neomutt(t, resync)
		})
	}
}

func neomutt(t *testing.T, resync string) {
	p, messages := withTLS(t, "starttls", 20)
	dir := t.TempDir()
	sent := filepath.Join(dir, "sent.eml")
	rc := neomuttrc(t, p, dir, fmt.Sprintf("unset smtp_url\nset sendmail = \"%s\"\nset imap_condstore = %s\nset imap_qresync = %s\n",
		script(t, filepath.Join(dir, "sendmail"), "cat >'"+sent+"'\n"), resync, resync))
	w := inTerminal(t, dir, nil, "neomutt", "-n", "-F", rc)
	w.shows("[20 messages, 20 shown]")
	w.press("1", "Enter", "F")
	w.press("2", "Enter", "s=Archive", "Enter")
	w.press("3", "Enter", "d")
	w.press("4", "Enter", "Enter") // opens it
	w.shows("- 4/20")
	w.press("i")
	w.press("5", "Enter", "r")
	w.shows("Send")
	w.press("y")
	w.shows("[20 messages")
	w.press("$") // writes it all out
	w.shows("[18 messages, 18 shown]")
	w.press("l=b \""+bodyWord(t, messages[10])+"\"", "Enter") // a search on the server
	w.shows(" 1 shown]")
	w.press("lall", "Enter")
	w.shows("[18 messages, 18 shown]")

	// Another client, while this one has the mailbox open.
	c := login(t, p, nil)
	appendMessage(t, c, "INBOX", small(1))
	w.press("l.", "Enter")
	w.shows("number 1")
	w.press("q")
	w.ends()

	neomuttLeft(t, p, messages)
	if raw, err := os.ReadFile(sent); err != nil || !bytes.Contains(raw, []byte("a reply from neomutt")) {
		t.Errorf("the reply was not sent: %v", err)
	}

	// The second time most headers come from the cache.
	if found, err := filepath.Glob(filepath.Join(dir, "cache", "*")); err != nil || len(found) == 0 {
		t.Errorf("no header cache: %v", err)
	}
	selectMailbox(t, c, "INBOX")
	if err := c.Store(imap.SeqSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	appendMessage(t, c, "INBOX", small(2))
	w = inTerminal(t, dir, nil, "neomutt", "-n", "-F", rc)
	w.shows("[19 messages, 19 shown]")
	w.shows("number 2")
	w.press("q")
	w.ends()
}

// neomuttrc writes the config of client-setup, over STARTTLS, and what the tests want
// besides: the editor is a script.
func neomuttrc(t *testing.T, p *rig.Popbridge, dir, more string) string {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, "neomuttrc"), clientFile(t, p, dir, "popbridge.neomuttrc")+fmt.Sprintf(`
set header_cache = "%s/cache"
set editor = "%s"
set realname = "Ann"
set sort = mailbox-order
set delete = yes
set confirmappend = no
set confirmcreate = no
set move = no
set mark_old = no
set wait_key = no
set quit = yes
set pager_stop = yes
set imap_idle = yes
set timeout = 1
set mail_check = 1
set fast_reply = yes
set include = no
set abort_unmodified = no
set status_format = "[%%m messages, %%M shown]"
`, dir, script(t, filepath.Join(dir, "editor"), "echo 'a reply from neomutt' >>\"$1\"\n"))+more)
}

// neomuttLeft looks over IMAP at what the session did.
func neomuttLeft(t *testing.T, p *rig.Popbridge, messages [][]byte) {
	t.Helper()
	in := flagsOf(t, p, "INBOX")
	nth := func(i int) []imap.Flag { return in[sum(messages[i-1])] }
	if len(in) != len(messages)-1 {
		t.Errorf("INBOX has %d messages, want %d", len(in), len(messages)-1)
	}
	if !slices.Contains(nth(1), imap.FlagFlagged) || !slices.Contains(nth(4), imap.FlagSeen) || !slices.Contains(nth(5), imap.FlagAnswered) {
		t.Errorf("flags %v, %v, %v; want flagged, seen, answered", nth(1), nth(4), nth(5))
	}
	for i, what := range map[int]string{2: "moved", 3: "deleted"} {
		if _, there := in[sum(messages[i-1])]; there {
			t.Errorf("the %s message is still in INBOX", what)
		}
	}
	if _, there := flagsOf(t, p, "Trash")[sum(messages[2])]; !there {
		t.Error("the deleted message is not in Trash")
	}
	if _, there := flagsOf(t, p, "Archive")[sum(messages[1])]; !there {
		t.Error("the moved message is not in Archive")
	}
	if got := fetchAll(t, p, "Sent"); len(got) != 1 || !bytes.Contains(got[0].body, []byte("a reply from neomutt")) {
		t.Errorf("Sent has %d messages, want the reply", len(got))
	}
}
