package bridge

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// countingStore counts how often the ledger is read.
type countingStore struct {
	*mailstore.Store
	read int
}

func (s *countingStore) Ledger(ctx context.Context, account string) ([]mailstore.LedgerEntry, error) {
	s.read++
	return s.Store.Ledger(ctx, account)
}

// The ledger is read by a poll unless nothing can be different from the poll before.
func TestPollOfAnUnchangedMailbox(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	store := &countingStore{Store: g.store}
	g.runner = newTestRunner(g.pop, store, g.clock, "home", "INBOX", plan.KeepForever())
	poll := func(what string, want int, stored int) {
		t.Helper()
		store.read = 0
		if result := g.poll(); result.Stored != stored || store.read != want {
			t.Fatalf("%s: %+v, the ledger read %d times, want %d", what, result, store.read, want)
		}
	}
	g.fill(0, 40)
	poll("first poll", 1, 40)
	poll("once more", 1, 0)
	poll("unchanged", 0, 0)
	poll("unchanged again", 0, 0)

	g.fill(40, 41)
	poll("a new message", 1, 1)
	poll("after it", 1, 0)
	poll("unchanged", 0, 0)

	// The same number of messages, of the same sizes, with another id.
	g.pop.change(func() { g.pop.messages[3].uidl = "another" })
	poll("another id", 1, 0)
	poll("after it", 1, 0)
	poll("unchanged", 0, 0)

	// A file that was found missing is fetched at the next poll.
	ledger, err := g.store.Ledger(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	name := ledger[7].Hash.String()
	if err := os.Remove(filepath.Join(g.dir, "mail", name[:2], name+".eml")); err != nil {
		t.Fatal(err)
	}
	if _, err := g.store.Repair(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	store.read = 0
	if result := g.poll(); result.Adopted != 1 || store.read != 1 {
		t.Fatalf("after a repair: %+v, the ledger read %d times", result, store.read)
	}
	poll("after it", 1, 0)
	poll("unchanged", 0, 0)

	// Once a day the rows are marked as listed.
	g.clock.advance(25 * time.Hour)
	poll("a day later", 1, 0)
	poll("after it", 1, 0)
	poll("unchanged", 0, 0)
	g.clock.advance(-2 * time.Hour)
	poll("a clock that was put back", 1, 0)
}

// Where mail is to be deleted the ledger is read by each poll.
func TestPollOfAnUnchangedMailboxThatIsEmptiedLater(t *testing.T) {
	g := newRig(t, plan.KeepFor(48*time.Hour))
	g.fill(0, 5)
	g.poll()
	g.poll()
	g.poll()
	g.clock.advance(49 * time.Hour)
	if result := g.poll(); result.Deleted != 5 {
		t.Errorf("%+v", result)
	}
}

// A preview says what there is to do, whatever the polls before have found.
func TestPreviewOfAnUnchangedMailbox(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 4)
	g.poll()
	g.poll()
	preview, err := g.runner.Preview(t.Context())
	if err != nil || preview.Fetch != 0 || preview.Kept != 4 {
		t.Errorf("%+v, %v", preview, err)
	}
	g.fill(4, 5)
	if preview, err = g.runner.Preview(t.Context()); err != nil || preview.Fetch != 1 {
		t.Errorf("%+v, %v", preview, err)
	}
}

// Mail that came at any time of the day is marked as listed by one session a day.
func TestRowsAreMarkedTogether(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	for n := range 8 {
		g.fill(n, n+1)
		g.poll()
		g.clock.advance(3 * time.Hour)
	}
	store := &countingStore{Store: g.store}
	g.runner = newTestRunner(g.pop, store, g.clock, "home", "INBOX", plan.KeepForever())
	for day := range 4 {
		store.read = 0
		for range 24 {
			g.poll()
			g.clock.advance(time.Hour)
		}
		if day > 1 && store.read > 3 {
			t.Errorf("day %d: the ledger was read %d times", day, store.read)
		}
	}
}
