package mailstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

// always brings the devices of a backup back.
func always(string) bool { return true }

// backup backs the store up and returns the report.
func (r *rig) backup(dir string) BackupReport {
	r.t.Helper()
	report, err := r.Backup(r.t.Context(), dir, BackupOptions{})
	must(r.t, err)
	return report
}

// restored opens what a backup gives.
func (r *rig) restored(backup string) (*rig, BackupReport) {
	r.t.Helper()
	c := &rig{t: r.t, clock: r.clock, dir: filepath.Join(r.t.TempDir(), "users", "ann"), keep: r.keep}
	report, err := Restore(r.t.Context(), backup, c.dir, RestoreOptions{Devices: always})
	must(r.t, err)
	c.open()
	r.t.Cleanup(func() { must(r.t, c.Close()) })
	return c, report
}

func TestARestoredBackupIsTheSameStore(t *testing.T) {
	r := newStore(t)
	r.busy()
	before := r.state()
	dir := filepath.Join(t.TempDir(), "a", "b")
	var steps, total int
	report, err := r.Backup(t.Context(), dir, BackupOptions{Progress: func(done, all int) { steps, total = done, all }})
	must(t, err)
	if report.Files != 14 || report.NewFiles != 14 || report.Messages != 13 || len(report.Missing) > 0 || steps != 14 || total != 14 {
		t.Errorf("report %+v, progress %d of %d", report, steps, total)
	}
	c, done := r.restored(dir)
	if done.Files != report.Files || done.Messages != report.Messages || done.Bytes == 0 || len(done.Missing) > 0 {
		t.Errorf("report %+v", done)
	}
	equal(t, "restored", c.state(), before)
	c.clean()
	for _, name := range []string{"INBOX", "Work", "Sent"} {
		if old, now := r.box(name), c.box(name); now.UIDNext < old.UIDNext+1000 || now.HighestModSeq < old.HighestModSeq+1000 || now.UIDValidity != old.UIDValidity {
			t.Errorf("%+v became %+v", old, now)
		}
	}
	c.append("INBOX", 50)
	c.create("new")
	c.lose(removeIndex) // the recovery log of a restored store is its own
	c.clean()
	equal(t, "the store itself", r.state(), before)
}

func TestABackupTakesOnlyWhatIsNew(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 5)
	dir := filepath.Join(t.TempDir(), "backup [old]")
	if report := r.backup(dir); report.NewFiles != 5 {
		t.Errorf("report %+v", report)
	}
	r.append("Sent", 6)
	r.append("Sent", 1)
	if report := r.backup(dir); report.NewFiles != 1 || report.Files != 6 || report.Messages != 7 {
		t.Errorf("report %+v", report)
	}
	indexes, err := atomicfile.Match(dir, indexPattern)
	if err != nil || len(indexes) != 1 {
		t.Errorf("indexes %v, %v", indexes, err)
	}
	c, _ := r.restored(dir)
	c.want("Sent", "1  number 6\n2  number 1")
	ours, err := os.Stat(r.path(hash1))
	must(t, err)
	theirs, err := os.Stat((&contents.Files{Dir: dir}).Path(hash1))
	must(t, err)
	if os.SameFile(ours, theirs) {
		t.Error("a file of the backup is the one of the store, and would be damaged with it")
	}
}

func TestAnInterruptedBackupLeavesTheFormerOne(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 3)
	dir := t.TempDir()
	r.backup(dir)
	before := r.state()
	r.append("INBOX", 4)
	broken := errors.New("broken")
	r.hook = func(step string) error {
		if step == "manifest" {
			return broken
		}
		return nil
	}
	if _, err := r.Backup(t.Context(), dir, BackupOptions{}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	r.hook = nil
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := r.Backup(ctx, dir, BackupOptions{Progress: func(int, int) { cancel() }}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	c, _ := r.restored(dir)
	equal(t, "restored", c.state(), before)
	r.backup(dir)
	c, _ = r.restored(dir)
	equal(t, "restored", c.state(), r.state())
}

func TestABackupDuringWorkIsOneMoment(t *testing.T) {
	r := newStore(t)
	must(t, r.Close())
	r.keep = keepOrphans
	r.open()
	r.fill("INBOX", 20)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for n := 100; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			// Each message is in INBOX or in Sent, never in both or in none.
			uid := r.append("INBOX", n)
			_, err := r.Move(context.Background(), r.id("INBOX"), []UID{uid}, r.id("Sent"))
			must(t, err)
			must(t, r.Purge(context.Background()))
		}
	})
	dir := t.TempDir()
	var last uint32
	for range rounds.Of(2, 5) {
		report := r.backup(dir)
		if len(report.Missing) > 0 {
			t.Errorf("report %+v", report)
		}
		c, _ := r.restored(dir)
		c.clean()
		if n := c.box("INBOX").Messages + c.box("Sent").Messages; n < last {
			t.Errorf("%d messages after %d", n, last)
		} else {
			last = n
		}
	}
	close(stop)
	wg.Wait()
}

func TestAPurgeWaitsForABackup(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	r.expunge("INBOX", 1)
	r.clock.t = start.Add(2 * keepExpunged)
	r.hook = func(step string) error {
		if step == "manifest" {
			must(t, r.Purge(t.Context()))
			if _, err := os.Stat(r.path(hash1)); err != nil {
				t.Error("purged under the hands of a backup")
			}
		}
		return nil
	}
	r.backup(t.TempDir())
	must(t, r.Purge(t.Context()))
	if _, err := os.Stat(r.path(hash1)); err == nil {
		t.Error("not purged")
	}
}

func TestRestoreTakesNoDamage(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2), r.from("home", "C", 3))
	dir := t.TempDir()
	r.backup(dir)
	data := []byte(text(1))
	data[5] ^= 1
	must(t, os.WriteFile((&contents.Files{Dir: dir}).Path(hash1), data, 0o600))
	must(t, os.Remove((&contents.Files{Dir: dir}).Path(hashOf(text(2)))))
	c, report := r.restored(dir)
	if len(report.Missing) != 2 || report.Files != 1 {
		t.Errorf("report %+v", report)
	}
	equal(t, "ledger", c.removed("home"), "A wanted, B wanted, C")
	for _, d := range []Delivery{c.from("home", "A", 1), c.from("home", "B", 2)} {
		if out := c.deliver(d); !out[0].Duplicate {
			t.Errorf("delivered %+v", out)
		}
	}
	c.clean()
	c.want("INBOX", "1  number 1\n2  number 2\n3  number 3")

	m, err := ReadBackup(dir)
	must(t, err)
	index, err := os.ReadFile(filepath.Join(dir, m.Index))
	must(t, err)
	index[len(index)/2] ^= 1
	must(t, os.WriteFile(filepath.Join(dir, m.Index), index, 0o600))
	into := filepath.Join(t.TempDir(), "x")
	_, err = Restore(t.Context(), dir, into, RestoreOptions{})
	wantKind(t, err, fault.Corrupt)
	if _, err := os.Stat(into); err == nil {
		t.Error("something was restored")
	}
}

func TestRestoreReplacesNothing(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 1)
	dir, empty := t.TempDir(), t.TempDir()
	_, err := Restore(t.Context(), dir, empty, RestoreOptions{})
	wantKind(t, err, fault.NotFound)
	r.backup(dir)
	_, err = Restore(t.Context(), dir, r.dir, RestoreOptions{})
	wantKind(t, err, fault.Conflict)
	if !strings.Contains(fault.Hint(err), "rename") {
		t.Errorf("hint %q", fault.Hint(err))
	}
	_, err = Restore(t.Context(), dir, empty, RestoreOptions{})
	must(t, err)
	for _, inside := range []string{r.dir, filepath.Join(r.dir, "backup")} {
		_, err = r.Backup(t.Context(), inside, BackupOptions{})
		wantKind(t, err, fault.Config)
	}
	must(t, os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"format": 3, "index": "x"}`), 0o600))
	_, err = Restore(t.Context(), dir, filepath.Join(t.TempDir(), "x"), RestoreOptions{})
	wantKind(t, err, fault.Config)
	must(t, os.WriteFile(filepath.Join(dir, manifestName), []byte(`{"format": 1, "index": "../x"}`), 0o600))
	_, err = Restore(t.Context(), dir, filepath.Join(t.TempDir(), "x"), RestoreOptions{})
	if !fault.Is(err, fault.Corrupt) {
		t.Errorf("error %v", err)
	}
}

func TestADamagedFileIsNotBackedUpOverASoundOne(t *testing.T) {
	r := bare(t)
	r.fill("INBOX", 2)
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Dir((&contents.Files{Dir: dir}).Path(hash1)), 0o700))
	must(t, os.WriteFile((&contents.Files{Dir: dir}).Path(hash1), []byte(text(1)), 0o600))
	must(t, os.Truncate(r.path(hash1), 3))
	must(t, os.Remove(r.path(hashOf(text(2)))))
	if report := r.backup(dir); len(report.Missing) != 1 || report.Missing[0].Code != "missing-file" || report.Files != 1 {
		t.Errorf("report %+v", report)
	}
	c, _ := r.restored(dir)
	if string(c.read(hash1)) != text(1) {
		t.Error("the sound file is gone")
	}
}
