package mailstore

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// wantAnother checks that a store is refused because it is not the one that was
// asked for.
func wantAnother(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrAnother) || !fault.Is(err, fault.Temporary) || fault.Hint(err) == "" {
		t.Errorf("got %v, want a temporary fault that this is another store", err)
	}
}

// copyOf copies a closed store, as tar or rsync do.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// replace puts a copy into the place of a store.
func replace(t *testing.T, dir, by string) {
	t.Helper()
	must(t, os.RemoveAll(dir))
	must(t, os.CopyFS(dir, os.DirFS(by)))
}

func TestTheIdentityStaysTheSame(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 3)
	id := r.ID()
	if len(id) != 16 {
		t.Fatalf("id %q", id)
	}
	same := func(what string) {
		t.Helper()
		if r.ID() != id {
			t.Errorf("%s: the identity is %s, was %s", what, r.ID(), id)
		}
	}
	r.reopen()
	same("a restart")
	r.lose(removeIndex)
	same("a rebuild")
	r.lose(removeIndex)
	same("a second rebuild")

	backup, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "ann")
	_, err := r.Backup(t.Context(), backup, BackupOptions{})
	must(t, err)
	_, err = Restore(t.Context(), backup, restored, RestoreOptions{})
	must(t, err)
	must(t, r.Close())
	r.dir = restored
	r.open()
	same("a restore")
	moved := filepath.Join(t.TempDir(), "elsewhere")
	must(t, r.Close())
	must(t, os.Rename(r.dir, moved))
	r.dir = moved
	r.open()
	same("a move")
}

// An index that is lost together with its log is made again under the identity
// that the store is known by.
func TestARebuildWithoutALogKeepsTheIdentityThatIsKnown(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 1)
	id := r.ID()
	must(t, r.Close())
	removeIndex(r.indexPath())
	must(t, os.Remove(r.logPath()))
	_, err := Open(t.Context(), r.dir, Options{ID: id})
	wantKind(t, err, fault.Corrupt)
	_, err = Rebuild(t.Context(), r.dir, Options{ID: id})
	must(t, err)
	r.open()
	if r.ID() != id {
		t.Errorf("the identity is %s, was %s", r.ID(), id)
	}
}

func TestAStoreThatIsMissingIsNotMade(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "users", "ann")
	_, err := Open(t.Context(), dir, Options{ID: "00000000000000aa"})
	wantAnother(t, err)
	if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
		t.Errorf("made in the empty place: %v, %v", entries, err)
	}
}

func TestAnotherStoreIsRefusedAndLeftAlone(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	must(t, r.Close())
	before := copyOf(t, r.dir)
	_, err := Open(t.Context(), r.dir, Options{ID: "00000000000000aa"})
	wantAnother(t, err)
	if out, err := exec.Command("diff", "-r", "--exclude=index.db-*", before, r.dir).CombinedOutput(); err != nil && runtime.GOOS != "windows" {
		t.Errorf("it was changed: %s", out)
	}
	again, err := Open(t.Context(), r.dir, Options{ID: r.ID()})
	must(t, err)
	must(t, again.Close())
	r.open()
}

// Under a program that runs: the folder is moved away, an empty one or another
// store takes its place, and it comes back.
func TestAFolderThatIsReplacedUnderAnOpenStore(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	id := r.id("INBOX")
	other := &rig{t: t, clock: r.clock, dir: filepath.Join(t.TempDir(), "other")}
	other.open()
	other.fill("INBOX", 5)
	must(t, other.Close())

	away := r.dir + ".away"
	must(t, os.Rename(r.dir, away))
	refused := func(what string) {
		t.Helper()
		_, err := r.SetFlags(t.Context(), id, []UID{1}, mailflags.Add, []string{`\Seen`})
		wantKind(t, err, fault.Temporary)
		wantKind(t, r.Healthy(t.Context()), fault.Temporary)
		_, err = r.Spool(t.Context(), strings.NewReader(text(9)))
		wantKind(t, err, fault.Temporary)
		if t.Failed() {
			t.Fatal(what)
		}
	}
	refused("away")
	must(t, os.Mkdir(r.dir, 0o700))
	refused("an empty folder")
	if entries, _ := os.ReadDir(r.dir); len(entries) > 0 {
		t.Errorf("made in the empty folder: %v", entries)
	}
	must(t, os.Remove(r.dir))

	// The file of a message would go into the other folder, so its row must not
	// go into the index that is open.
	must(t, os.CopyFS(r.dir, os.DirFS(other.dir)))
	_, err := r.Deliver(t.Context(), []Delivery{{Mailbox: id, Message: r.spool(text(9))}})
	wantAnother(t, err)
	wantAnother(t, r.Healthy(t.Context()))
	wantAnother(t, r.Healthy(t.Context()))
	must(t, os.RemoveAll(r.dir))
	must(t, os.Rename(away, r.dir))
	must(t, r.Healthy(t.Context()))
	r.append("INBOX", 3)
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 3")
}

// A backup from between two rebuilds is restored: its numbers go on behind those that
// were given after the second one.
func TestABackupRestoredAfterARebuildGivesNothingTwice(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 5)
	r.append("Trash", 1)
	r.expunge("INBOX", 2, 4)
	r.lose(removeIndex)
	r.expunge("INBOX", 5)
	backup := filepath.Join(filepath.Dir(r.dir), "backup")
	r.backup(backup)
	r.lose(removeIndex)
	given, err := r.Mailboxes(t.Context())
	must(t, err)
	at := Lease{r.Generation(), r.Generation()}
	dir := filepath.Join(t.TempDir(), "ann")
	_, err = Restore(t.Context(), backup, dir, RestoreOptions{})
	must(t, err)
	c, err := Open(t.Context(), dir, Options{Now: r.clock.now, Lease: at})
	must(t, err)
	for _, m := range given {
		if now, err := c.Mailbox(t.Context(), m.Name); err != nil || now.HighestModSeq <= m.HighestModSeq || now.UIDNext < m.UIDNext {
			t.Errorf("%s: modification sequence %d after %d, UIDNEXT %d after %d, %v", m.Name, now.HighestModSeq, m.HighestModSeq, now.UIDNext, m.UIDNext, err)
		}
	}
	must(t, c.Close())
}

// A copy of the folder from before is put back: no UID that was given since
// names another message, whatever was done in between.
func TestACopyPutBackGivesNoUIDTwice(t *testing.T) {
	var lease Lease
	r := newStore(t)
	o := Options{Now: r.clock.now, Extend: func(_ string, l Lease) { lease = l }}
	reopen := func() {
		t.Helper()
		must(t, r.Close())
		o.ID, o.Lease = r.ID(), Lease{r.Store.Generation(), r.Store.Generation()}
		s, err := Open(t.Context(), r.dir, o)
		must(t, err)
		r.Store = s
	}
	reopen()
	r.fill("INBOX", 3)
	must(t, r.Close())
	early := copyOf(t, r.dir)
	r.open()
	reopen()
	given := map[string]UID{}
	for round := range 3 {
		r.append("INBOX", 10+round)
		r.append("Sent", 20+round)
		inbox, sent := r.id("INBOX"), r.id("Sent")
		_, err := r.Copy(t.Context(), inbox, []UID{1, 2, 3}, sent)
		must(t, err)
		for _, name := range []string{"INBOX", "Sent", "Trash"} {
			box, err := r.Mailbox(t.Context(), name)
			must(t, err)
			if box.UIDNext < given[name] {
				t.Errorf("round %d: UIDNEXT of %s is %d, %d was given out", round, name, box.UIDNext, given[name])
			}
			given[name] = box.UIDNext
		}
		must(t, r.Close())
		o.Lease = Lease{r.Store.Generation(), r.Store.Generation()}
		replace(t, r.dir, early)
		s, err := Open(t.Context(), r.dir, o)
		must(t, err)
		r.Store = s
		if !r.PutBack() {
			t.Errorf("round %d: the copy was not noticed", round)
		}
		r.clean()
	}
	if lease.To == 0 {
		t.Error("no lease was taken")
	}
	r.lose(removeIndex) // the raised numbers are in the recovery log as well
	for name, next := range given {
		box, err := r.Mailbox(t.Context(), name)
		must(t, err)
		if box.UIDNext < next {
			t.Errorf("after a rebuild UIDNEXT of %s is %d, %d was given out", name, box.UIDNext, next)
		}
	}
}

// The lease is durable before what it covers: after a kill the store goes on
// behind it, and that alone is no older copy.
func TestAKillLosesNoLease(t *testing.T) {
	r := newStore(t)
	must(t, r.Close())
	var lease Lease
	o := Options{Now: r.clock.now, Extend: func(_ string, l Lease) { lease = l }}
	s, err := Open(t.Context(), r.dir, o)
	must(t, err)
	r.Store = s
	r.fill("INBOX", 3)
	if g := r.Store.Generation(); lease.From >= g || lease.To < g {
		t.Fatalf("lease %+v does not cover generation %d", lease, g)
	}
	killed := copyOf(t, r.dir)
	must(t, r.Close())
	replace(t, r.dir, killed)
	o.Lease = lease
	s, err = Open(t.Context(), r.dir, o)
	must(t, err)
	r.Store = s
	box, err := r.Mailbox(t.Context(), "INBOX")
	must(t, err)
	if r.PutBack() || int64(box.UIDNext) <= lease.To {
		t.Errorf("put back %v, UIDNEXT %d, lease %+v", r.PutBack(), box.UIDNext, lease)
	}
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 3")
}

// An older copy that takes the place of the open store is raised as well.
func TestAnOlderCopyUnderAnOpenStore(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	must(t, r.Close())
	early := copyOf(t, r.dir)
	r.open()
	for n := range 5 {
		r.append("INBOX", 10+n)
	}
	away := r.dir + ".away"
	must(t, os.Rename(r.dir, away))
	must(t, os.CopyFS(r.dir, os.DirFS(early)))
	must(t, r.Healthy(t.Context()))
	box, err := r.Mailbox(t.Context(), "INBOX")
	must(t, err)
	if !r.PutBack() || box.UIDNext < 8 || box.Messages != 2 {
		t.Errorf("put back %v, %+v", r.PutBack(), box)
	}
}

// A store of an earlier version gets an identity and a generation that covers
// its UIDs, and its recovery log has them, too.
func TestAStoreOfAnEarlierVersionGetsAnIdentity(t *testing.T) {
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(t.TempDir(), "ann")}
	must(t, os.Mkdir(r.dir, 0o700))
	db, err := sql.Open("sqlite", dsn(filepath.Join(r.dir, "index.db")))
	must(t, err)
	_, err = db.Exec(schema1 + schema2 + `INSERT INTO mailbox (name, uidvalidity, uidnext) VALUES ('INBOX', 1, 5); ` + setVersion(2))
	must(t, errors.Join(err, db.Close()))
	r.open()
	id := r.ID()
	if id == formatID(0) || r.Store.Generation() < 5 {
		t.Errorf("id %s, generation %d", id, r.Store.Generation())
	}
	r.lose(removeIndex)
	if r.ID() != id {
		t.Errorf("after a rebuild the identity is %s, was %s", r.ID(), id)
	}
	must(t, r.Close())
}

// TestAnIndexOfOneTransactionAgo beside the recovery log of today is refused, although
// it is an older copy, whose numbers are raised.
func TestAnIndexOfOneTransactionAgo(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 1)
	must(t, r.Close())
	before, err := os.ReadFile(filepath.Join(r.dir, "index.db"))
	must(t, err)
	r.open()
	r.append("INBOX", 2)
	known := Lease{From: r.Generation(), To: r.Generation()}
	must(t, r.Close())
	must(t, os.WriteFile(filepath.Join(r.dir, "index.db"), before, 0o600))
	_, err = Open(t.Context(), r.dir, Options{Now: r.clock.now, Lease: known})
	wantKind(t, err, fault.Corrupt)
	r.lose(func(string) {})
	r.want("INBOX", "1  number 1\n2  number 2")
}
