package plan_test

import (
	"fmt"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestPresumeRenumbered(t *testing.T) {
	type rows = []mailstore.LedgerEntry
	known := func(n int, change ...func(*mailstore.LedgerEntry)) rows {
		var out rows
		for i := range n {
			out = append(out, row(fmt.Sprint("old", i), 0, int64(1000+i), change...))
		}
		return out
	}
	listed := func(n int) []plan.Listed {
		var out []plan.Listed
		for i := range n {
			out = append(out, plan.Listed{Num: i + 1, Size: int64(1000 + i), UIDL: fmt.Sprint("new", i)})
		}
		return out
	}
	with := func(l []plan.Listed, change func([]plan.Listed)) []plan.Listed { change(l); return l }
	for _, tt := range []struct {
		name    string
		listing []plan.Listed
		ledger  rows
		keep    plan.Keep
		readopt int
		fetch   int
	}{
		{name: "all", listing: listed(40), ledger: known(40), readopt: 40},
		{name: "whatever the policy", listing: listed(40), ledger: known(40), keep: plan.KeepNever(), readopt: 40},
		{name: "one new amid", listing: append(listed(40), plan.Listed{41, 9999, "more"}), ledger: known(40), readopt: 40, fetch: 1},
		{name: "one gone", listing: listed(39), ledger: known(40), readopt: 39},
		{name: "one size twice in the listing", listing: append(listed(40), plan.Listed{41, 1007, "more"}), ledger: known(40), readopt: 39, fetch: 2},
		{name: "one size twice in the ledger", listing: listed(40), ledger: append(known(40), row("long gone", 0, 1007, away(3, 30*day))), readopt: 39, fetch: 1},
		{name: "one deleted", listing: listed(40), ledger: append(known(39), row("x", 0, 1039, state(mailstore.DeleteAcked))), readopt: 39, fetch: 1},
		{name: "one damaged here", listing: listed(40), ledger: append(known(39), row("x", 0, 1039, func(e *mailstore.LedgerEntry) { e.Wanted = true })), readopt: 39, fetch: 1},
		{name: "renumbered again", listing: listed(40), ledger: known(40, state(mailstore.Presumed)), readopt: 40},
		{name: "too few", listing: listed(9), ledger: known(9), fetch: 9},
		{name: "a known id", listing: with(listed(40), func(l []plan.Listed) { l[3].UIDL = "old3" }), ledger: known(40), fetch: 39},
		{name: "an empty id", listing: with(listed(40), func(l []plan.Listed) { l[3].UIDL = "" }), ledger: known(40), fetch: 39},
		{name: "a number that is missing", listing: with(listed(40), func(l []plan.Listed) { l[39].Num = 41 }), ledger: known(40), fetch: 40},
		{name: "mostly unknown sizes", listing: append(listed(40), with(listed(40), func(l []plan.Listed) {
			for i := range l {
				l[i] = plan.Listed{Num: 41 + i, Size: int64(5000 + i), UIDL: fmt.Sprint("more", i)}
			}
		})...), ledger: known(40), fetch: 80},
		{name: "no sizes", listing: with(listed(40), func(l []plan.Listed) {
			for i := range l {
				l[i].Size = 0
			}
		}), ledger: known(40), fetch: 40},
		{name: "not there before", listing: listed(40), ledger: known(40, away(1, day)), fetch: 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := actionsOf(tt.listing, tt.ledger, plan.Policy{Keep: tt.keep})
			if len(got.Readopt) != tt.readopt || len(got.Fetch) != tt.fetch || len(got.Delete) != 0 && tt.readopt > 0 {
				t.Errorf("%d readopted, %d fetched, %d deleted", len(got.Readopt), len(got.Fetch), len(got.Delete))
			}
			for _, m := range got.Readopt {
				if m.From.UIDL[3:] != m.To.UIDL[3:] || m.ListSize == 0 || m.To.Account != "home" {
					t.Errorf("%+v", m)
				}
			}
			checkInvariants(t, tt.listing, tt.ledger, got)
		})
	}
}

// A row that was taken for a message by its size is compared before the
// message is deleted, and nothing else.
func TestPresumedIsNotDeleted(t *testing.T) {
	presumed := state(mailstore.Presumed)
	listing := []plan.Listed{{1, 10, "a"}, {2, 20, "b"}}
	ledger := []mailstore.LedgerEntry{row("a", 0, 10, presumed), row("b", 0, 20)}
	if got := actionsOf(listing, ledger, plan.Policy{}); len(got.Fetch) != 0 || got.Skip != 2 || len(got.Unlisted) != 1 {
		t.Errorf("kept: %+v", got)
	}
	got := actionsOf(listing, ledger, plan.Policy{Keep: plan.KeepNever()})
	if len(got.Delete) != 1 || got.Delete[0].Num != 2 || len(got.Fetch) != 1 || got.Fetch[0].Row == nil {
		t.Errorf("due: %+v", got)
	}
	checkInvariants(t, listing, ledger, got)
}
