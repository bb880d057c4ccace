package plan_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// checkInvariants holds what is true of every plan.
func checkInvariants(t interface{ Errorf(string, ...any) }, listing []plan.Listed, ledger []mailstore.LedgerEntry, a plan.Actions) {
	rows := make(map[mailstore.Origin]mailstore.LedgerEntry)
	for _, e := range ledger {
		rows[e.Origin] = e
	}
	listed := make(map[int]plan.Listed)
	for _, l := range listing {
		listed[l.Num] = l
	}
	fetched := make(map[int]bool)
	for _, f := range a.Fetch {
		if _, taken := rows[mailstore.Origin{Account: "home", UIDL: f.UIDL, Dup: f.Dup}]; taken && f.UIDL != "" && f.Row == nil {
			t.Errorf("fetch %d under id %s/%d, which is taken", f.Num, f.UIDL, f.Dup)
		}
		fetched[f.Num] = true
	}
	if len(fetched)+a.Skip != len(listing) {
		t.Errorf("%d listed, %d to fetch, %d skipped", len(listing), len(fetched), a.Skip)
	}
	used := make(map[mailstore.Origin]bool)
	for _, d := range a.Delete {
		e, known := rows[d.Entry.Origin]
		l := listed[d.Num]
		if !known || fetched[d.Num] || used[e.Origin] || l.UIDL != e.UIDL || l.UIDL == "" {
			t.Errorf("delete %d (%v) for row %v", d.Num, l, e)
		}
		if l.Size != e.ListSize {
			t.Errorf("delete %d of size %d for a row of size %d", d.Num, l.Size, e.ListSize)
		}
		if e.State == mailstore.Presumed || e.Wanted || d.Why == "" || d.Reason == "" {
			t.Errorf("delete %+v", d)
		}
		used[e.Origin] = true
	}
	unlisted := make(map[mailstore.Origin]bool)
	for _, e := range a.Unlisted {
		if used[e.Origin] {
			t.Errorf("%v is deleted and not listed", e)
		}
		unlisted[e.Origin] = true
	}
	for _, e := range append(a.Absent, a.Forget...) {
		if !unlisted[e.Origin] {
			t.Errorf("%v is absent and listed", e)
		}
	}
	for _, e := range a.Forget {
		if e.Absent < forgetAfter {
			t.Errorf("%v is forgotten", e)
		}
	}
}

func TestPlanInvariants(t *testing.T) {
	uidl := rapid.SampledFrom([]string{"", "a", "b", "c", "sha256:aa"})
	size := rapid.SampledFrom([]int64{0, 10, 20})
	rapid.Check(t, func(t *rapid.T) {
		var listing []plan.Listed
		for i := range rapid.IntRange(0, 8).Draw(t, "listed") {
			listing = append(listing, plan.Listed{Num: i + 1, UIDL: uidl.Draw(t, "uidl"), Size: size.Draw(t, "size")})
		}
		var ledger []mailstore.LedgerEntry
		taken := make(map[mailstore.Origin]bool)
		for range rapid.IntRange(0, 8).Draw(t, "rows") {
			e := row(uidl.Filter(func(s string) bool { return s != "" }).Draw(t, "row uidl"), rapid.IntRange(0, 3).Draw(t, "dup"), size.Draw(t, "row size"),
				away(rapid.IntRange(0, 40).Draw(t, "absent"), time.Duration(rapid.IntRange(0, 50).Draw(t, "days"))*day),
				state(rapid.SampledFrom([]mailstore.LedgerState{mailstore.Stored, mailstore.DeleteIntended, mailstore.DeleteAcked, mailstore.Presumed}).Draw(t, "state")))
			e.Wanted = rapid.IntRange(0, 5).Draw(t, "wanted") == 0
			if rapid.Bool().Draw(t, "removed") {
				e.RemovedAt = now.Add(-time.Duration(rapid.IntRange(0, 10).Draw(t, "removed days")) * day)
			}
			if !taken[e.Origin] {
				taken[e.Origin] = true
				ledger = append(ledger, e)
			}
		}
		slices.SortFunc(ledger, func(a, b mailstore.LedgerEntry) int { return a.Compare(b.Origin) })
		keep := rapid.SampledFrom([]plan.Keep{plan.KeepForever(), plan.KeepNever(), plan.KeepFor(10 * day), plan.KeepNewest(2), plan.KeepBelow(50, 60)}).Draw(t, "keep")
		policy := plan.Policy{Keep: keep, Expunged: rapid.Bool().Draw(t, "expunged"), Grace: 7 * day}
		got := actionsOf(listing, ledger, policy)
		checkInvariants(t, listing, ledger, got)
		if keep == plan.KeepForever() && !policy.Expunged && len(got.Delete) > 0 {
			t.Errorf("delete %v although everything is kept", got.Delete)
		}
	})
}
