//go:build unix

package test

import (
	"bytes"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/test/rig"
)

// A session at aerc's keyboard, over STARTTLS: it lists, opens, marks, moves,
// archives, deletes, filters and sees new mail arrive.
func TestAercReadsMarksMovesArchivesAndSearches(t *testing.T) {
	rig.Need(t, "dovecot", "aerc", "tmux")
	t.Parallel()
	p, messages := withTLS(t, "starttls", 20)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "aerc"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "aerc", "accounts.conf"), clientFile(t, p, dir, "popbridge.aerc.conf"))
	w := inTerminal(t, dir, []string{"SSL_CERT_FILE=" + filepath.Join(p.Data, "tls", "ca.pem")}, "aerc")
	// The newest is on top.
	nth := func(i int) string { return subject(t, messages[len(messages)-1-i]) }
	w.shows(nth(len(messages) - 1))
	w.press(":select 0", "Enter", ":flag", "Enter")
	w.press(":select 1", "Enter", ":view", "Enter")
	w.shows("Subject: " + nth(1))
	w.press("q")
	w.shows(nth(2))
	w.press(":select 2", "Enter", ":mv Archive", "Enter")
	w.hides(nth(2))
	w.press(":select 2", "Enter", ":archive flat", "Enter") // the next has come up
	w.hides(nth(3))
	w.press(":select 2", "Enter", ":delete", "Enter")
	w.hides(nth(4))
	w.press(":filter -b '"+bodyWord(t, messages[5])+"'", "Enter") // a search on the server
	w.hides(nth(0))
	w.shows(subject(t, messages[5]))
	w.press(":clear", "Enter")
	w.shows(nth(0))

	c := login(t, p, nil)
	appendMessage(t, c, "INBOX", small(1))
	w.shows("number 1")
	w.press(":mkdir Neu", "Enter")
	eventually(t, "aerc makes a folder", func() (bool, error) {
		found, err := c.List("", "Neu", nil).Collect()
		return len(found) == 1, err
	})
	w.press(":quit -f", "Enter")
	w.ends()

	in, archive := flagsOf(t, p, "INBOX"), flagsOf(t, p, "Archive")
	sumOf := func(i int) [32]byte { return sum(messages[len(messages)-1-i]) }
	if len(in) != len(messages)-2 || len(archive) != 2 {
		t.Errorf("INBOX has %d messages, Archive %d", len(in), len(archive))
	}
	if !slices.Contains(in[sumOf(0)], imap.FlagFlagged) || !slices.Contains(in[sumOf(1)], imap.FlagSeen) {
		t.Errorf("flags %v and %v, want flagged and seen", in[sumOf(0)], in[sumOf(1)])
	}
	for i, what := range map[int]string{2: "moved", 3: "archived", 4: "deleted"} {
		if _, there := in[sumOf(i)]; there {
			t.Errorf("the %s message is still in INBOX", what)
		}
		if _, there := archive[sumOf(i)]; there != (i != 4) {
			t.Errorf("the %s message in Archive: %v", what, there)
		}
	}
}

func subject(t *testing.T, raw []byte) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
