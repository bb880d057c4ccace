package mailstore

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// TestAKillBetweenTwoSteps copies the store at each step of a delivery, an
// expunge and a purge, as a kill would leave it, and opens the copy.
func TestAKillBetweenTwoSteps(t *testing.T) {
	r := newStore(t)
	for n := 1; n <= 3; n++ {
		r.append("INBOX", n)
	}
	type kill struct{ step, dir string }
	var mu sync.Mutex
	var kills []kill
	committed := false
	r.hook = func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		dir := filepath.Join(t.TempDir(), fmt.Sprint(len(kills)))
		if err := os.CopyFS(dir, os.DirFS(r.dir)); err != nil {
			t.Error(err)
		}
		kills = append(kills, kill{step, dir})
		return nil
	}
	r.deliver(r.from("home", "A", 4), r.from("home", "B", 5), r.from("home", "C", 5))
	r.flag([]UID{1, 2}, mailflags.Set, `\Deleted`)
	_, err := r.Expunge(t.Context(), r.id("INBOX"), nil)
	must(t, err)
	r.clock.t = start.Add(31 * 24 * time.Hour)
	must(t, r.Purge(t.Context()))

	seen := map[string]int{}
	for _, k := range kills {
		c := &rig{t: t, clock: r.clock, dir: k.dir}
		c.open()
		c.clean()
		seen[k.step]++
		entries, err := c.Ledger(t.Context(), "home")
		must(t, err)
		if st, err := c.AccountState(t.Context(), "home"); err != nil || int(st.Stored) != len(entries) {
			t.Errorf("%s: %d stored, %d in the ledger", k.step, st.Stored, len(entries))
		}
		if k.step == "committed" || k.step == "log" {
			committed = true
		}
		if want := map[bool]int{true: 3}[committed]; len(entries) != want {
			t.Errorf("killed at %s: %d in the ledger, want %d", k.step, len(entries), want)
		}
		// What was not committed is fetched again, what was is not.
		c.deliver(c.from("home", "A", 4), c.from("home", "B", 5), c.from("home", "C", 5))
		if m := c.box("INBOX"); m.UIDNext != 7 || m.Messages < 4 {
			t.Errorf("killed at %s: %+v", k.step, m)
		}
		c.clean()
		must(t, c.Close())
	}
	for _, step := range []string{"journal", "sync", "rename", "syncdir", "commit", "log", "committed", "unjournal", "purged"} {
		if seen[step] == 0 {
			t.Errorf("never at step %s: %v", step, seen)
		}
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	tmp := func(name, text string) {
		must(t, os.WriteFile(filepath.Join(r.dir, "tmp", name), []byte(text), 0o600))
	}
	must(t, os.WriteFile(r.path(Hash{7}), []byte("of a batch that was killed"), 0o600))
	tmp("spool-1", "half a mess")
	tmp("batch-1", Hash{7}.String()+"\n"+hashOf(text(1)).String()+"\n")
	tmp("batch-2", "torn\n../../../etc/passwd\n"+Hash{8}.String()+"\n"+Hash{9}.String()[:20])

	if problems, err := r.Check(t.Context(), nil); err != nil || len(problems) > 0 {
		t.Errorf("work under way is taken for damage: %v, %v", problems, err)
	}
	r.reopen()
	r.want("INBOX", "1  number 1")
}

func TestAFailedBatchTakesNoFileFromAnother(t *testing.T) {
	r := newStore(t)
	file := r.path(hashOf(text(1)))
	other := r.batch(1)
	r.hook = func(step string) error {
		if step == "commit" {
			return syscall.ENOSPC
		}
		return nil
	}
	_, err := r.Deliver(t.Context(), []Delivery{r.from("work", "A", 1)})
	wantKind(t, err, fault.Full)
	if _, err := os.Stat(file); err != nil {
		t.Error("the file was removed although another batch is about to use it")
	}
	must(t, other.Place(t.Context()))
	other.End(false, false)
	if _, err := os.Stat(file); err == nil {
		t.Error("the file was left although no one uses it")
	}
	must(t, r.files.Exclusive(func(inUse func(Hash) bool) error {
		if inUse(hashOf(text(1))) {
			t.Error("still under way")
		}
		return nil
	}))
}
