package mailstore

import (
	"path/filepath"
	"testing"
)

// TestADoubtOutlivesIndexAndName: that the original of a message is to be kept on
// the server is known after a rebuild, of the log as it grew and as it is written
// again, after a restore, and under another name of the account.
func TestADoubtOutlivesIndexAndName(t *testing.T) {
	r := newStore(t)
	a, b := r.from("home", "A", 1), r.from("home", "B", 2)
	a.Doubt = Doubted
	r.deliver(a, b)
	want := func(account string, first, second Doubt) {
		t.Helper()
		entries, err := r.Ledger(t.Context(), account)
		must(t, err)
		if len(entries) != 2 || entries[0].Doubt != first || entries[1].Doubt != second {
			t.Fatalf("ledger %+v", entries)
		}
	}
	want("home", Doubted, NoDoubt)
	r.lose(removeIndex)
	want("home", Doubted, NoDoubt)

	again := r.from("home", "A", 1) // the same bytes, and no doubt that these are all
	r.deliver(again)
	want("home", NoDoubt, NoDoubt)
	entries, err := r.Ledger(t.Context(), "home")
	must(t, err)
	entries[1].Doubt = StillLess
	must(t, r.UpdateLedger(t.Context(), "home", entries))
	r.lose(removeIndex)
	want("home", NoDoubt, StillLess)
	must(t, r.renewLog(t))
	r.lose(removeIndex)
	want("home", NoDoubt, StillLess)

	must(t, r.SetAccountState(t.Context(), "home", AccountState{Memory: "here"}))
	_, known, err := r.Inherit(t.Context(), "work", func(_, memory string) bool { return memory == "here" })
	if err != nil || !known {
		t.Fatal(known, err)
	}
	r.lose(removeIndex)
	want("work", NoDoubt, StillLess)

	backup := filepath.Join(t.TempDir(), "backup")
	_, err = r.Backup(t.Context(), backup, BackupOptions{})
	must(t, err)
	must(t, r.Close())
	r.dir = filepath.Join(t.TempDir(), "again")
	_, err = Restore(t.Context(), backup, r.dir, RestoreOptions{})
	must(t, err)
	r.open()
	want("work", NoDoubt, StillLess)
	r.lose(removeIndex)
	want("work", NoDoubt, StillLess)
}

func (r *rig) renewLog(t *testing.T) error {
	r.writer.mu.Lock()
	defer r.writer.mu.Unlock()
	return r.renewLogLocked(t.Context())
}
