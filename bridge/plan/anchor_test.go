package plan_test

import (
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Three messages of one size without ids: the anchor of one session says in the
// next that all are there, as long as the sizes are the same.
func TestAnchor(t *testing.T) {
	listing := []plan.Listed{{Num: 1, Size: 10}, {Num: 2, Size: 10}, {Num: 3, Size: 10}}
	ledger := []mailstore.LedgerEntry{row("sha256:a", 0, 10), row("sha256:b", 0, 10), row("sha256:c", 0, 10)}
	here := map[int]mailstore.Hash{1: {1}, 2: {2}, 3: {3}}
	p := plan.Make(plan.Input{Listing: listing, Ledger: ledger, Now: now})
	if len(p.Actions.Fetch) != 3 {
		t.Fatalf("without anchor %d are fetched", len(p.Actions.Fetch))
	}
	if a := p.NextAnchor(nil, map[int]mailstore.Hash{1: {1}, 2: {2}}, nil); a != nil {
		t.Errorf("the last one is not here: %+v", a)
	}
	a := p.NextAnchor(nil, here, nil)
	if a == nil || a.Num != 3 || a.Hash[0] != 3 || !a.StandsFor(listing) {
		t.Fatalf("anchor %+v", a)
	}
	if a.StandsFor(listing[:2]) || a.StandsFor([]plan.Listed{{Num: 1, Size: 10}, {Num: 2, Size: 11}, {Num: 3, Size: 10}}) || (*plan.Anchor)(nil).StandsFor(listing) {
		t.Error("it stands for another listing")
	}
	longer := append(listing[:3:3], plan.Listed{Num: 4, Size: 10})
	p = plan.Make(plan.Input{Listing: longer, Ledger: ledger, Now: now, Trusted: a.Num})
	if f := p.Actions.Fetch; len(f) != 1 || f[0].Num != 4 || p.Actions.Skip != 3 {
		t.Errorf("with anchor: %+v", p.Actions)
	}
	if next := p.NextAnchor(a, map[int]mailstore.Hash{4: {4}}, nil); next == nil || next.Num != 4 {
		t.Errorf("next anchor %+v", next)
	}
	// Of the rows one is not of that listing: nothing is taken for granted.
	ledger[1].State = mailstore.Presumed
	if p = plan.Make(plan.Input{Listing: listing, Ledger: ledger, Now: now, Trusted: a.Num}); len(p.Actions.Fetch) != 3 {
		t.Errorf("a row in doubt: %+v", p.Actions)
	}
}
