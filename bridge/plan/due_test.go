package plan_test

import (
	"slices"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// What arrives in a session goes in the same session; what is only due does not
// before it was compared.
func TestDeletionsOfWhatArrived(t *testing.T) {
	p := plan.Make(plan.Input{
		Listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}, {3, 30, "c"}},
		Ledger:  []mailstore.LedgerEntry{row("a", 0, 10), row("b", 0, 20, state(mailstore.Presumed))},
		Policy:  plan.Policy{Keep: plan.KeepNever()}, Now: now,
	})
	nums := func(due []plan.Delete) (out []int) {
		for _, d := range due {
			out = append(out, d.Num)
		}
		return out
	}
	want := func(what string, due []plan.Delete, want ...int) {
		t.Helper()
		if got := nums(due); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("planned", p.Actions.Delete, 1)
	want("due", p.Due(now), 1, 2)
	foretold := p.DueOnceFetched(now)
	want("due once fetched", foretold, 1, 2, 3)
	if !foretold[2].Entry.StoredAt.IsZero() || foretold[0].Entry.StoredAt.IsZero() {
		t.Error("it does not tell what is stored from what is not yet")
	}
	want("nothing has arrived", p.Deletions(now), 1)
	p.Arrived(3, row("c", 0, 30))
	p.Arrived(9, row("x", 0, 30)) // listed by no one
	want("one has arrived", p.Deletions(now), 1, 3)
	p.Arrived(2, row("b", 0, 20))
	want("all have arrived", p.Deletions(now), 1, 2, 3)
	if !p.HasArrived(3) || p.HasArrived(1) {
		t.Error("what has arrived is not known")
	}
}
