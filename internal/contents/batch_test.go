package contents_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/contents"
)

// TestTheOrderInWhichAFileBecomesDurable: the journal before any name, the content
// of a file before its name, the name before Place returns.
func TestTheOrderInWhichAFileBecomesDurable(t *testing.T) {
	f := newFiles(t)
	disk := &recorder{}
	f.Disk = disk
	b := f.NewBatch(f.spool("one", "two", "one"))
	must(t, b.Place(t.Context()))
	did := slices.Clone(disk.did)
	at := func(start string) int {
		t.Helper()
		i := slices.IndexFunc(did, func(d string) bool { return strings.HasPrefix(d, start) })
		if i < 0 {
			t.Errorf("never %s: %q", start, did)
		}
		return i
	}
	for i, d := range did {
		if from, ok := strings.CutPrefix(d, "rename "); ok {
			name, _ := strings.CutPrefix(did[i+1], "name ")
			if at("sync "+from) > i || at("sync batch-") > i || at("syncdir tmp") > i || at("syncdir "+name[:2]) < i {
				t.Errorf("%s to %s: %q", d, name, did)
			}
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(did), func(d string) bool { return !strings.HasPrefix(d, "rename") })); n != 2 {
		t.Errorf("%d files were placed: %q", n, did)
	}
	f.known[hashOf("one")] = true
	b.End(false, false)
	did = disk.did[len(did):]
	gone := hashOf("two").String()
	if at("remove "+gone) > at("syncdir "+gone[:2]) || at("syncdir "+gone[:2]) > at("remove batch-") {
		t.Errorf("the journal goes before what it names is gone: %q", did)
	}
	f.want("one")
}

func TestAFailureAtEachStepLeavesNothing(t *testing.T) {
	for _, at := range []string{"spool", "journal", "sync", "rename", "syncdir"} {
		f := newFiles(t)
		f.store("old")
		fail := func(step string) error {
			if step == at {
				return syscall.ENOSPC
			}
			return nil
		}
		if at == "spool" {
			f.Step = fail
			if _, err := f.Spool(strings.NewReader("new")); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: %v", at, err)
			}
		} else {
			b := f.NewBatch(f.spool("new", "old"))
			f.Step = fail
			if err := b.Place(t.Context()); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: %v", at, err)
			}
			f.Step = nil
			b.End(false, false)
		}
		f.want("old")
	}
}

// TestAKillAfterPlace: the next start decides by what it knows.
func TestAKillAfterPlace(t *testing.T) {
	for name, end := range map[string]func(*contents.Batch){
		"killed":   func(*contents.Batch) {},
		"in doubt": func(b *contents.Batch) { b.End(false, true) },
	} {
		f := newFiles(t)
		must(t, os.WriteFile(filepath.Join(f.Dir, "tmp", "spool-1"), []byte("half a mess"), 0o600))
		b := f.NewBatch(f.spool("kept", "gone"))
		must(t, b.Place(t.Context()))
		end(b)
		found := map[contents.Hash]bool{hashOf("kept"): true, hashOf("gone"): true, hashOf("stray"): true}
		again := openFiles(t, f.Dir)
		if err := again.Strays(found); err != nil || len(found) != 1 || !found[hashOf("stray")] {
			t.Errorf("%s: strays are %v, %v", name, found, err)
		}
		again.known[hashOf("kept")] = true
		must(t, again.Sweep())
		again.want("kept")
	}
}

// TestASweepTrustsNoJournal that is torn, or names what is no message file.
func TestASweepTrustsNoJournal(t *testing.T) {
	f := newFiles(t)
	f.store("one", "two")
	delete(f.known, hashOf("two"))
	text := "torn\n../../../etc/passwd\n" + hashOf("one").String() + "\n" + hashOf("two").String()[:20]
	must(t, os.WriteFile(filepath.Join(f.Dir, "tmp", "batch-1"), []byte(text), 0o600))
	must(t, f.Sweep())
	f.want("one", "two")
}

func TestAFileThatIsThereStaysOrIsReplacedIfDamaged(t *testing.T) {
	f := newFiles(t)
	f.store("sound", "damaged")
	before, err := os.Stat(f.Path(hashOf("sound")))
	must(t, err)
	must(t, os.WriteFile(f.Path(hashOf("damaged")), []byte("x"), 0o600))
	disk := &recorder{}
	f.Disk = disk
	f.store("sound", "damaged")
	after, err := os.Stat(f.Path(hashOf("sound")))
	must(t, err)
	if !os.SameFile(before, after) || !slices.Contains(disk.did, "sync "+filepath.Base(f.Path(hashOf("sound")))) {
		t.Errorf("the sound file was replaced or not synced: %q", disk.did)
	}
	f.want("sound", "damaged")
}

func TestPurge(t *testing.T) {
	f := newFiles(t)
	f.store("one", "two", "used", "known")
	b := f.NewBatch(f.spool("used"))
	all := []contents.Hash{hashOf("one"), hashOf("two"), hashOf("used"), hashOf("known"), hashOf("never")}
	forget := func() error {
		if !f.has("one") {
			t.Error("removed before it was forgotten")
		}
		clear(f.known)
		f.known[hashOf("known")] = true
		return nil
	}
	broken := errors.New("broken")
	if err := f.Purge(all[:1], func() error { return broken }); !errors.Is(err, broken) || f.left() != 2 {
		t.Errorf("%v, %d files in tmp", err, f.left()) // spool file and journal
	}
	must(t, f.Purge(all, forget))
	b.End(false, true)
	if f.has("one") || f.has("two") || !f.has("used") || !f.has("known") {
		t.Error("the wrong files were removed")
	}
	f.store("one")
	must(t, f.Sweep()) // the journal of what was not forgotten
	f.want("one", "used", "known")
}

func TestExclusiveKnowsWhatIsInUse(t *testing.T) {
	f := newFiles(t)
	used := func() (used bool) {
		must(t, f.Exclusive(func(inUse func(contents.Hash) bool) error {
			used = inUse(hashOf("one"))
			return nil
		}))
		return used
	}
	a, b := f.NewBatch(f.spool("one")), f.NewBatch(f.spool("one", "one"))
	for _, end := range []*contents.Batch{a, b} {
		if !used() {
			t.Error("not in use")
		}
		end.End(false, false)
	}
	if used() {
		t.Error("still in use")
	}
	f.want()
}

func TestWhoGivesUpPlacesNothing(t *testing.T) {
	f := newFiles(t)
	b := f.NewBatch(f.spool("one"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Place(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b.End(false, false)
	f.want()
}

// Two batches with the same message fail together: neither leaves its file to
// the other.
func TestTwoBatchesThatFailTogetherLeaveNothing(t *testing.T) {
	f := newFiles(t)
	var both sync.WaitGroup
	both.Add(2)
	a, b := f.NewBatch(f.spool("one")), f.NewBatch(f.spool("one"))
	must(t, a.Place(t.Context()))
	must(t, b.Place(t.Context()))
	f.Step = func(step string) error {
		if step == "unlink" { // both have looked by now
			both.Done()
			both.Wait()
		}
		return nil
	}
	var ends sync.WaitGroup
	for _, x := range []*contents.Batch{a, b} {
		ends.Go(func() { x.End(false, false) })
	}
	ends.Wait()
	f.want()
}
