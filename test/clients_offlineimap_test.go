//go:build unix

package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// Both ways with offlineimap: what either side flags, moves, deletes, adds and
// makes is on both after one run, and a further run changes nothing.
func TestOfflineimapTwoWays(t *testing.T) {
	rig.Need(t, "dovecot", "offlineimap")
	t.Parallel()
	d := dovecot(t, nil)
	w := &twins{t: t, want: map[string]map[string]string{"INBOX": {}}}
	for n := range 300 {
		if err := d.Put("home", small(n)); err != nil {
			t.Fatal(err)
		}
		w.want["INBOX"][fmt.Sprintf("%d@small.example", n)] = ""
	}
	odd := testkit.Message(7)
	if err := d.Put("home", odd); err != nil {
		t.Fatal(err)
	}
	w.want["INBOX"][messageID(t, odd)] = ""
	// Without TLS: its imaplib2 reads and writes one TLS connection from two
	// threads, and now and then hangs after STARTTLS.
	w.p = prepare(t, account(d, "home"))
	start(t, w.p)
	command(t, w.p, 0, "sync")
	dir := t.TempDir()
	w.dir = filepath.Join(dir, "OfflineMail")
	rc := write(t, filepath.Join(dir, "offlineimaprc"), clientFile(t, w.p, dir, "popbridge.offlineimaprc"))
	sync := func() { t.Helper(); program(t, dir, "offlineimap", "-c", rc, "-o", "-u", "basic") }
	sync()
	w.compare("after the first run")

	w.c = login(t, w.p, nil)
	selectMailbox(t, w.c, "INBOX")
	uids := make(map[string]imap.UID)
	for _, m := range fetchAll(t, w.p, "INBOX") {
		uids[messageID(t, m.body)] = m.uid
	}
	w.changeNear(10, "From near")
	w.changeFar(uids, 150, "From far")
	sync()
	w.compare("after changes on both sides")
	before := state(t, w.p)
	sync()
	w.compare("after a run without changes")
	if after := state(t, w.p); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a run without changes changed the server from %v\nto %v", before, after)
	}
	command(t, w.p, 0, "check")
}
