package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		keep   plan.Keep
		text   string
		age    time.Duration
		wanted bool
	}{
		{plan.Keep{}, "forever", 10000 * day, false},
		{plan.KeepForever(), "forever", 10000 * day, false},
		{plan.KeepNever(), "never", 0, true},
		{plan.KeepFor(30 * day), "30d", 30 * day, true},
		{plan.KeepFor(30 * day), "30d", 30*day - 1, false},
		{plan.KeepFor(time.Hour), "1h0m0s", -time.Hour, false},
		{plan.KeepNewest(500), "newest 500", 10000 * day, false},
		{plan.KeepBelow(80, 1000), "below 80%", 10000 * day, false},
	} {
		if got := tt.keep.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		e := row("a", 0, 10, func(e *mailstore.LedgerEntry) { e.StoredAt = now.Add(-tt.age) })
		if got := len(due(plan.Policy{Keep: tt.keep}, []plan.Listed{{1, 10, "a"}}, e)) > 0; got != tt.wanted {
			t.Errorf("%v at the age of %v: due %v", tt.keep, tt.age, got)
		}
	}
}

// due is what is deleted by a policy.
func due(policy plan.Policy, listing []plan.Listed, rows ...mailstore.LedgerEntry) []plan.Delete {
	return actionsOf(listing, rows, policy).Delete
}

func TestDue(t *testing.T) {
	removed := func(ago time.Duration) func(*mailstore.LedgerEntry) {
		return func(e *mailstore.LedgerEntry) { e.RemovedAt = now.Add(-ago) }
	}
	wanted := func(e *mailstore.LedgerEntry) { e.Wanted = true }
	// Five messages of 10 bytes; the third is not stored here.
	all := func(change ...func(*mailstore.LedgerEntry)) []mailstore.LedgerEntry {
		return []mailstore.LedgerEntry{row("u1", 0, 10, change...), row("u2", 0, 10), row("u4", 0, 10), row("u5", 0, 10)}
	}
	for _, tt := range []struct {
		policy plan.Policy
		rows   []mailstore.LedgerEntry
		want   string
	}{
		{plan.Policy{}, all(), ""},
		{plan.Policy{Keep: plan.KeepNever()}, all(), "1 2 4 5"},
		{plan.Policy{Keep: plan.KeepNever()}, all(wanted), "2 4 5"},
		{plan.Policy{Keep: plan.KeepFor(10 * day)}, all(), "1 2 4 5"},
		{plan.Policy{Keep: plan.KeepFor(11 * day)}, all(), ""},
		{plan.Policy{Keep: plan.KeepNewest(5)}, all(), ""},
		{plan.Policy{Keep: plan.KeepNewest(2)}, all(), "1 2"},
		{plan.Policy{Keep: plan.KeepNewest(3)}, all(wanted), "2"},
		{plan.Policy{Keep: plan.KeepNewest(0)}, all(), "1 2 4 5"},
		{plan.Policy{Keep: plan.KeepBelow(80, 100)}, all(), ""},
		{plan.Policy{Keep: plan.KeepBelow(50, 100)}, all(), "1"},
		{plan.Policy{Keep: plan.KeepBelow(50, 100)}, all(wanted), "2"},
		{plan.Policy{Keep: plan.KeepBelow(50, 80)}, all(), "1 2"},
		{plan.Policy{Keep: plan.KeepBelow(0, 80)}, all(), "1 2 4 5"},
		{plan.Policy{Keep: plan.KeepBelow(80, 0)}, all(), ""}, // no quota stated
		{plan.Policy{Expunged: true, Grace: 7 * day}, all(), ""},
		{plan.Policy{Expunged: true, Grace: 7 * day}, all(removed(7 * day)), "1"},
		{plan.Policy{Expunged: true, Grace: 7 * day}, all(removed(6 * day)), ""},
		{plan.Policy{Expunged: true, Grace: 7 * day}, all(removed(7*day), wanted), ""},
		{plan.Policy{}, all(removed(7 * day)), ""},
		{plan.Policy{Keep: plan.KeepBelow(50, 100), Expunged: true, Grace: day}, all(removed(7 * day)), "1"}, // makes the room
	} {
		t.Run(tt.policy.String(), func(t *testing.T) {
			var listing []plan.Listed
			for n := range 5 {
				listing = append(listing, plan.Listed{Num: n + 1, Size: 10, UIDL: fmt.Sprint("u", n+1)})
			}
			var got []string
			for _, d := range due(tt.policy, listing, tt.rows...) {
				got = append(got, fmt.Sprint(d.Num))
				if d.Why == "" || d.Reason == "" || d.Entry.UIDL != listing[d.Num-1].UIDL {
					t.Errorf("%+v", d)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("due %v, want %s", got, tt.want)
			}
		})
	}
}

// Sizes that no mailbox has delete nothing: of what is stored its own size counts,
// of the rest none.
func TestDueOfAbsurdSizes(t *testing.T) {
	size := func(n int64) func(*mailstore.LedgerEntry) { return func(e *mailstore.LedgerEntry) { e.Size = n } }
	for _, listed := range []int64{1<<63 - 1, 2147483646, 1001, 0, -5} {
		listing := []plan.Listed{{1, listed, "a"}, {2, listed, "b"}, {3, -5, "c"}, {4, 500, "d"}}
		rows := []mailstore.LedgerEntry{row("a", 0, listed, size(400)), row("d", 0, 500)}
		if got := due(plan.Policy{Keep: plan.KeepBelow(80, 1000)}, listing, rows...); len(got) != 1 || got[0].Num != 1 {
			t.Errorf("listed with %d, due %v", listed, got)
		}
		if got := due(plan.Policy{Keep: plan.KeepBelow(95, 1000)}, listing, rows...); len(got) != 0 {
			t.Errorf("listed with %d, below the limit, due %v", listed, got)
		}
	}
}

func TestPermit(t *testing.T) {
	expunged := func(k plan.Keep, grace time.Duration) plan.Policy {
		return plan.Policy{Keep: k, Expunged: true, Grace: grace}
	}
	keep := func(k plan.Keep) plan.Policy { return plan.Policy{Keep: k} }
	for _, tt := range []struct {
		old, next plan.Policy
		covered   bool
	}{
		{keep(plan.KeepForever()), keep(plan.KeepForever()), true},
		{keep(plan.KeepForever()), keep(plan.KeepFor(1000 * day)), false},
		{keep(plan.KeepNever()), keep(plan.KeepForever()), true},
		{keep(plan.KeepNever()), expunged(plan.KeepNewest(3), 0), true},
		{keep(plan.KeepFor(30 * day)), keep(plan.KeepFor(31 * day)), true},
		{keep(plan.KeepFor(30 * day)), keep(plan.KeepFor(29 * day)), false},
		{keep(plan.KeepFor(30 * day)), keep(plan.KeepNever()), false},
		{keep(plan.KeepFor(30 * day)), keep(plan.KeepNewest(10000)), false},
		{keep(plan.KeepNewest(500)), keep(plan.KeepNewest(500)), true},
		{keep(plan.KeepNewest(500)), keep(plan.KeepNewest(499)), false},
		{keep(plan.KeepBelow(80, 1000)), keep(plan.KeepBelow(40, 2000)), true},
		{keep(plan.KeepBelow(80, 1000)), keep(plan.KeepBelow(79, 1000)), false},
		{keep(plan.KeepForever()), expunged(plan.KeepForever(), 7*day), false},
		{expunged(plan.KeepForever(), 7*day), keep(plan.KeepForever()), true},
		{expunged(plan.KeepForever(), 7*day), expunged(plan.KeepForever(), 8*day), true},
		{expunged(plan.KeepForever(), 7*day), expunged(plan.KeepForever(), 6*day), false},
	} {
		if got := tt.old.Permit().Covers(tt.next.Permit()); got != tt.covered {
			t.Errorf("from %q to %q: covered %v", tt.old, tt.next, got)
		}
	}
}
