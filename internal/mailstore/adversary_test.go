package mailstore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// spoil changes the file of test message n, and not its size.
func (r *rig) spoil(n int) {
	r.t.Helper()
	data := []byte(text(n))
	data[len(data)-3] ^= 0x55
	path := r.path(hashOf(text(n)))
	must(r.t, os.Remove(path)) // a hard link in a backup stays as it is
	must(r.t, os.WriteFile(path, data, 0o600))
}

// A delivery that is acknowledged is readable, also where an earlier copy of
// the same bytes has rotted: its source may be deleted next.
func TestADeliveryDoesNotRelyOnADamagedFile(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	r.spoil(1)
	r.deliver(r.from("work", "A", 1))
	if got := string(r.read(hashOf(text(1)))); got != text(1) {
		t.Errorf("stored %q", got)
	}
	r.want("INBOX", "1  number 1\n2  number 1")
}

// An id that is taken by a message whose file is gone does not keep another
// message, known by its bytes, from taking it.
func TestAdoptOntoTheIDOfALostMessage(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(map[bool]string{true: "missing", false: "without a row"}[known], func(t *testing.T) {
			r := newStore(t)
			r.deliver(r.from("home", "A", 1), r.from("home", "K", 2))
			must(t, os.Remove(r.path(hashOf(text(1)))))
			if known {
				_, err := r.Repair(t.Context(), nil)
				must(t, err)
			} else {
				r.sql(`DELETE FROM message WHERE uid = 1`)
				r.sql(`DELETE FROM content WHERE id NOT IN (SELECT content_id FROM message)`)
				_, err := r.Repair(t.Context(), nil)
				must(t, err)
			}
			d := r.from("home", "A", 2)
			d.Adopt = &Origin{Account: "home", UIDL: "K"}
			if out := r.deliver(d); !out[0].Duplicate {
				t.Error("delivered twice")
			}
			entries, err := r.Ledger(t.Context(), "home")
			if err != nil || len(entries) != 1 || entries[0].UIDL != "A" || entries[0].Hash != hashOf(text(2)) {
				t.Errorf("%+v, %v", entries, err)
			}
			if known {
				must(t, os.WriteFile(r.path(hashOf(text(1))), []byte(text(1)), 0o600))
				_, err := r.Repair(t.Context(), nil)
				must(t, err)
			}
		})
	}
}

// A message that is recognised under a new id brings its file back.
func TestAdoptBringsAMissingFileBack(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	must(t, os.Remove(r.path(hashOf(text(1)))))
	_, err := r.Repair(t.Context(), nil)
	must(t, err)
	d := r.from("home", "B", 1)
	d.Adopt = &Origin{Account: "home", UIDL: "A"}
	r.deliver(d)
	if entries, err := r.Ledger(t.Context(), "home"); err != nil || len(entries) != 1 || entries[0].Wanted {
		t.Errorf("%+v, %v", entries, err)
	}
}

// A backup never takes a damaged file for a good one, and takes the good one
// when it is back.
func TestABackupTakesNoDamagedFile(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
	r.spoil(1)
	dir := filepath.Join(filepath.Dir(r.dir), "backup")
	report, err := r.Backup(t.Context(), dir, BackupOptions{})
	must(t, err)
	if len(report.Missing) != 1 || report.Missing[0].Code != "changed-file" || report.Files != 1 {
		t.Errorf("%+v", report)
	}
	_, err = r.Repair(t.Context(), nil)
	must(t, err)
	r.deliver(r.from("home", "A", 1))
	report, err = r.Backup(t.Context(), dir, BackupOptions{})
	must(t, err)
	if len(report.Missing) != 0 || report.NewFiles != 1 {
		t.Errorf("%+v", report)
	}
	restored, err := Restore(t.Context(), dir, filepath.Join(filepath.Dir(r.dir), "again"), RestoreOptions{})
	if err != nil || len(restored.Missing) != 0 {
		t.Errorf("%+v, %v", restored, err)
	}
}

// The mailbox of an expunged message was deleted, then the index was lost: its
// number is not given to another mailbox, in which the message would reappear,
// nor is its UIDVALIDITY.
func TestUndeleteAfterARebuildFindsTheNameAgain(t *testing.T) {
	r := newStore(t)
	last, err := r.CreateMailbox(t.Context(), "Last", "")
	must(t, err)
	r.append("Last", 1)
	must(t, r.DeleteMailbox(t.Context(), "Last"))
	must(t, r.refresh(t.Context())) // rewrites the log
	must(t, r.Close())
	must(t, os.Remove(r.indexPath()))
	_, err = Rebuild(t.Context(), r.dir, Options{Now: r.clock.now})
	must(t, err)
	r.open()
	another, err := r.CreateMailbox(t.Context(), "Another", "")
	must(t, err)
	if another.ID <= last.ID || another.UIDValidity <= last.UIDValidity {
		t.Errorf("%+v has a number of %+v", another, last)
	}
	list, err := r.Expunged(t.Context(), ExpungedQuery{})
	if err != nil || len(list) != 1 || list[0].Mailbox != "Last" {
		t.Fatalf("%+v, %v", list, err)
	}
	back, err := r.Undelete(t.Context(), []int64{list[0].ID})
	if err != nil || len(back) != 1 || back[0].Mailbox != "Last" {
		t.Errorf("%+v, %v", back, err)
	}
}

// A rebuild that is killed while it moves the old index aside: what is left is
// never taken for an index.
func TestARebuildThatIsKilledWhileItMovesTheIndex(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	r.reopen() // the first message is in the index itself, the second in its log
	r.append("INBOX", 2)
	// A writer that is still open keeps its log of changes beside the index.
	kept := filepath.Join(t.TempDir(), "kept")
	must(t, os.CopyFS(kept, os.DirFS(r.dir)))
	if _, err := os.Stat(filepath.Join(kept, "index.db-wal")); err != nil {
		t.Fatal(err)
	}
	must(t, os.Remove(filepath.Join(kept, "recovery.log"))) // as after a power cut
	for cut := range 4 {
		dir := filepath.Join(t.TempDir(), "ann")
		must(t, os.CopyFS(dir, os.DirFS(kept)))
		for _, end := range indexFiles[:min(cut, len(indexFiles))] {
			must(t, os.Rename(filepath.Join(dir, "index.db"+end), filepath.Join(dir, "old"+end)))
		}
		s, err := Open(t.Context(), dir, Options{Now: r.clock.now})
		if cut > 0 {
			wantKind(t, err, fault.Corrupt)
			continue
		}
		must(t, err)
		if m, err := s.Mailbox(t.Context(), "INBOX"); err != nil || m.Messages != 2 {
			t.Errorf("%+v, %v", m, err)
		}
		must(t, s.Close())
	}
}

// A file that goes away while a repair looks at it, as that of a batch that
// fails, is no finding.
func TestARepairBesideAFailingBatch(t *testing.T) {
	r := newStore(t)
	b := r.batch(1)
	must(t, b.Place(t.Context()))
	rep := &repair{s: r.Store, check: &check{s: r.Store}}
	b.End(false, false)
	must(t, rep.adopt(t.Context(), map[Hash]bool{hashOf(text(1)): true}))
	if len(rep.check.problems) > 0 {
		t.Errorf("%+v", rep.report)
	}
}

// A file that was replaced by a good one since it was found damaged stays.
func TestARepairMovesNoGoodFileAside(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	rep := &repair{s: r.Store, check: &check{s: r.Store}}
	must(t, rep.aside(t.Context(), hashOf(text(1))))
	if rep.report.Aside != "" {
		t.Errorf("%+v", rep.report)
	}
}

// The ledger of an account that was renamed outlives the index, too.
func TestTheLedgerOfARenamedAccountIsRebuilt(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
	must(t, r.SetAccountState(t.Context(), "home", AccountState{HadUIDL: true, Memory: "here"}))
	same := func(_, memory string) bool { return memory == "here" }
	if _, ok, err := r.Inherit(t.Context(), "work", func(string, string) bool { return false }); ok || err != nil {
		t.Errorf("inherited from another: %v", err)
	}
	st, ok, err := r.Inherit(t.Context(), "work", same)
	if err != nil || !ok || st.Stored != 2 || !st.HadUIDL || st.Memory != "here" {
		t.Errorf("%+v, %v, %v", st, ok, err)
	}
	if _, ok, err := r.Inherit(t.Context(), "work", same); ok || err != nil {
		t.Errorf("inherited from itself: %v", err)
	}
	must(t, r.Close())
	must(t, os.Remove(r.indexPath()))
	_, err = Rebuild(t.Context(), r.dir, Options{Now: r.clock.now})
	must(t, err)
	r.open()
	for _, d := range []Delivery{r.from("work", "A", 1), r.from("work", "B", 2)} {
		if out := r.deliver(d); !out[0].Duplicate {
			t.Errorf("%+v comes twice", d.Origin)
		}
	}
	st, err = r.AccountState(t.Context(), "work")
	if old, lerr := r.Ledger(t.Context(), "home"); len(old) != 0 || st.Stored != 2 || !st.HadUIDL || err != nil || lerr != nil {
		t.Errorf("%+v, %+v, %v, %v", old, st, err, lerr)
	}
}

// Two accounts may change names, and one may get in the way of another: each ledger
// goes with its mailbox, also when the index is lost after that.
func TestAccountsThatChangeNames(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("a", "A", 1), r.from("b", "A", 2), r.from("c", "A", 3))
	must(t, r.SetAccountState(t.Context(), "a", AccountState{Memory: "of a"}))
	must(t, r.RenameAccounts(t.Context(), map[string]string{"a": "b", "b": "a", "c": "c (former 1)"}))
	check := func() {
		t.Helper()
		for _, d := range []Delivery{r.from("b", "A", 1), r.from("a", "A", 2), r.from("c (former 1)", "A", 3)} {
			if out := r.deliver(d); !out[0].Duplicate {
				t.Errorf("%+v comes twice", d.Origin)
			}
		}
		if list, err := r.Accounts(t.Context()); err != nil || len(list) != 3 {
			t.Errorf("accounts %+v, %v", list, err)
		}
	}
	check()
	if st, err := r.AccountState(t.Context(), "b"); err != nil || st.Memory != "of a" || st.Stored != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	r.lose(removeIndex)
	check()
	r.clean()
}
