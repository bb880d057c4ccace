package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

var (
	day = 24 * time.Hour
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// What the package goes by.
const (
	sizeTells   = 64 << 10 // octets, from which on a size stands for a message without an id
	forgetAfter = 30       // listings without a message, before its row is forgotten
)

func actionsOf(listing []plan.Listed, ledger []mailstore.LedgerEntry, policy plan.Policy) plan.Actions {
	return plan.Make(plan.Input{Listing: listing, Ledger: ledger, Policy: policy, Now: now}).Actions
}

// row is a ledger row stored ten days ago and last listed a minute ago.
func row(uidl string, dup int, size int64, change ...func(*mailstore.LedgerEntry)) mailstore.LedgerEntry {
	e := mailstore.LedgerEntry{
		Origin: mailstore.Origin{Account: "home", UIDL: uidl, Dup: dup}, Size: size, ListSize: size,
		State: mailstore.Stored, StoredAt: now.Add(-10 * day), LastListedAt: now.Add(-time.Minute),
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func state(s mailstore.LedgerState) func(*mailstore.LedgerEntry) {
	return func(e *mailstore.LedgerEntry) { e.State = s }
}

func away(absent int, since time.Duration) func(*mailstore.LedgerEntry) {
	return func(e *mailstore.LedgerEntry) { e.Absent, e.LastListedAt = absent, now.Add(-since) }
}

// shown is Actions in a form that fits a table.
type shown struct {
	Fetch, Delete, Seen, Absent, Forget []string
	Skip                                int
}

func show(a plan.Actions) shown {
	name := func(e mailstore.LedgerEntry) string { return fmt.Sprintf("%s/%d", e.UIDL, e.Dup) }
	names := func(es []mailstore.LedgerEntry) (out []string) {
		for _, e := range es {
			out = append(out, name(e))
		}
		return out
	}
	s := shown{Skip: a.Skip, Seen: names(a.Seen), Absent: names(a.Absent), Forget: names(a.Forget)}
	for _, f := range a.Fetch {
		s.Fetch = append(s.Fetch, fmt.Sprintf("%d=%s/%d", f.Num, f.UIDL, f.Dup))
	}
	for _, d := range a.Delete {
		s.Delete = append(s.Delete, fmt.Sprintf("%d=%s", d.Num, name(d.Entry)))
	}
	return s
}

func TestPlan(t *testing.T) {
	type rows = []mailstore.LedgerEntry
	deleted, intended := state(mailstore.DeleteAcked), state(mailstore.DeleteIntended)
	tests := []struct {
		name    string
		keep    plan.Keep
		listing []plan.Listed
		ledger  rows
		want    shown
	}{
		{name: "nothing"},
		{
			name:    "all new",
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}},
			want:    shown{Fetch: []string{"1=a/0", "2=b/0"}},
		},
		{
			name:    "all known",
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}},
			ledger:  rows{row("a", 0, 10), row("b", 0, 20)},
			want:    shown{Skip: 2},
		},
		{
			name:    "numbers mean nothing",
			listing: []plan.Listed{{1, 20, "b"}, {2, 30, "c"}},
			ledger:  rows{row("a", 0, 10), row("b", 0, 20)},
			want:    shown{Fetch: []string{"2=c/0"}, Skip: 1, Absent: []string{"a/0"}},
		},
		{
			name: "never: what is stored goes", keep: plan.KeepNever(),
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}},
			ledger:  rows{row("a", 0, 10)},
			want:    shown{Fetch: []string{"2=b/0"}, Delete: []string{"1=a/0"}, Skip: 1},
		},
		{
			name: "days count from storing", keep: plan.KeepFor(10 * day),
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}, {3, 30, "c"}},
			ledger: rows{row("a", 0, 10), row("b", 0, 20, func(e *mailstore.LedgerEntry) { e.StoredAt = e.StoredAt.Add(time.Second) }),
				row("c", 0, 30, func(e *mailstore.LedgerEntry) { e.StoredAt = time.Time{} })},
			want: shown{Delete: []string{"1=a/0"}, Skip: 3},
		},
		{
			name: "after a DELE, confirmed or not, another message may have the id", keep: plan.KeepNever(),
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}},
			ledger:  rows{row("a", 0, 10, deleted), row("b", 0, 20, intended)},
			want:    shown{Fetch: []string{"1=a/1", "2=b/1"}},
		},
		{
			name:    "after a DELE no longer wanted as well",
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}},
			ledger:  rows{row("a", 0, 10, deleted), row("b", 0, 20, intended)},
			want:    shown{Fetch: []string{"1=a/1", "2=b/1"}},
		},
		{
			name: "an id used again after a deletion is another message", keep: plan.KeepNever(),
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "b"}},
			ledger:  rows{row("a", 0, 10, deleted, away(1, time.Hour)), row("b", 0, 20, intended, away(1, time.Hour))},
			want:    shown{Fetch: []string{"1=a/1", "2=b/1"}},
		},
		{
			name: "an id with another size is another message", keep: plan.KeepNever(),
			listing: []plan.Listed{{1, 11, "a"}},
			ledger:  rows{row("a", 0, 10)},
			want:    shown{Fetch: []string{"1=a/1"}, Absent: []string{"a/0"}},
		},
		{
			name:    "no size is a size like another",
			listing: []plan.Listed{{1, 0, "a"}, {2, 0, "b"}},
			ledger:  rows{row("a", 0, 0), row("b", 0, 10)},
			want:    shown{Fetch: []string{"2=b/1"}, Skip: 1, Absent: []string{"b/0"}},
		},
		{
			name:    "one id for two messages",
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, "a"}, {3, 10, "a"}},
			want:    shown{Fetch: []string{"1=a/0", "2=a/1", "3=a/2"}},
		},
		{
			name:    "one id for two messages: the first one gone",
			listing: []plan.Listed{{1, 20, "a"}},
			ledger:  rows{row("a", 0, 10), row("a", 1, 20)},
			want:    shown{Skip: 1, Absent: []string{"a/0"}},
		},
		{
			name:    "one id for two messages: a third one",
			listing: []plan.Listed{{1, 20, "a"}, {2, 10, "a"}, {3, 30, "a"}},
			ledger:  rows{row("a", 0, 10), row("a", 1, 20)},
			want:    shown{Fetch: []string{"3=a/2"}, Skip: 2},
		},
		{
			name:    "renumbered",
			listing: []plan.Listed{{1, 10, "x"}, {2, 20, "y"}},
			ledger:  rows{row("a", 0, 10), row("b", 0, 20)},
			want:    shown{Fetch: []string{"1=x/0", "2=y/0"}, Absent: []string{"a/0", "b/0"}},
		},
		{
			name: "empty listing", keep: plan.KeepNever(),
			ledger: rows{row("a", 0, 10), row("b", 0, 20, deleted)},
			want:   shown{Absent: []string{"a/0", "b/0"}},
		},
		{
			name:    "back after an absence it may be another message",
			listing: []plan.Listed{{1, 10, "a"}},
			ledger:  rows{row("a", 0, 10, away(29, 40*day))},
			want:    shown{Fetch: []string{"1=a/1"}},
		},
		{
			name:    "the day it was last listed is kept to the day",
			listing: []plan.Listed{{1, 10, "a"}, {2, 10, "b"}},
			ledger:  rows{row("a", 0, 10, away(0, 11*time.Hour)), row("b", 0, 10, away(0, 25*time.Hour))},
			want:    shown{Skip: 2, Seen: []string{"b/0"}},
		},
		{
			name:    "what is due within half a day is marked with it",
			listing: []plan.Listed{{1, 10, "a"}, {2, 10, "b"}},
			ledger:  rows{row("a", 0, 10, away(0, 13*time.Hour)), row("b", 0, 10, away(0, 25*time.Hour))},
			want:    shown{Skip: 2, Seen: []string{"a/0", "b/0"}},
		},
		{
			name:    "and not before one is due",
			listing: []plan.Listed{{1, 10, "a"}, {2, 10, "b"}},
			ledger:  rows{row("a", 0, 10, away(0, 13*time.Hour)), row("b", 0, 10, away(0, 23*time.Hour))},
			want:    shown{Skip: 2},
		},
		{
			name: "absences count once a day, and forgetting takes many and long",
			ledger: rows{row("again today", 0, 10, away(2, 23*time.Hour)), row("next day", 0, 10, away(2, 25*time.Hour)),
				row("many", 0, 10, away(30, time.Hour)), row("long", 0, 10, away(29, 300*day)), row("both", 0, 10, away(30, 25*time.Hour))},
			want: shown{Absent: []string{"next day/0", "long/0"}, Forget: []string{"both/0"}},
		},
		{
			name:    "nothing is forgotten while a message waits to be fetched",
			listing: []plan.Listed{{1, 10, "new"}},
			ledger:  rows{row("both", 0, 10, away(30, 30*day))},
			want:    shown{Fetch: []string{"1=new/0"}},
		},
		{
			name:   "a clock that was set back forgets nothing",
			ledger: rows{row("a", 0, 10, away(3, -100*day)), row("b", 0, 10, away(30, -100*day))},
			want:   shown{Absent: []string{"a/0", "b/0"}},
		},
		{
			name: "no id: a large size known once is compared before it is deleted", keep: plan.KeepNever(),
			listing: []plan.Listed{{1, sizeTells, ""}, {2, sizeTells + 20, ""}},
			ledger:  rows{row("sha256:aa", 0, sizeTells), row("sha256:bb", 0, sizeTells+30)},
			want:    shown{Fetch: []string{"1=/0", "2=/0"}, Absent: []string{"sha256:bb/0"}},
		},
		{
			name:    "no id: a large size known once is taken for known",
			listing: []plan.Listed{{1, sizeTells, ""}, {2, sizeTells + 20, ""}},
			ledger:  rows{row("sha256:aa", 0, sizeTells), row("sha256:bb", 0, sizeTells+30)},
			want:    shown{Fetch: []string{"2=/0"}, Skip: 1, Absent: []string{"sha256:bb/0"}},
		},
		{
			name:    "no id: a small size proves nothing",
			listing: []plan.Listed{{1, sizeTells - 1, ""}},
			ledger:  rows{row("sha256:aa", 0, sizeTells-1)},
			want:    shown{Fetch: []string{"1=/0"}, Absent: []string{"sha256:aa/0"}},
		},
		{
			name:    "no id: a size listed twice or known twice is fetched",
			listing: []plan.Listed{{1, sizeTells, ""}, {2, sizeTells, ""}, {3, sizeTells + 20, ""}},
			ledger:  rows{row("sha256:aa", 0, sizeTells), row("sha256:bb", 0, sizeTells+20), row("sha256:cc", 0, sizeTells+20)},
			want:    shown{Fetch: []string{"1=/0", "2=/0", "3=/0"}, Absent: []string{"sha256:aa/0", "sha256:bb/0", "sha256:cc/0"}},
		},
		{
			name:    "no id: what was gone before proves nothing",
			listing: []plan.Listed{{1, sizeTells, ""}, {2, 0, ""}},
			ledger:  rows{row("sha256:aa", 0, sizeTells, away(1, time.Hour)), row("sha256:bb", 0, 0)},
			want:    shown{Fetch: []string{"1=/0", "2=/0"}, Absent: []string{"sha256:bb/0"}},
		},
		{
			name:    "no id for once: the ids not listed are asked",
			listing: []plan.Listed{{1, 10, "a"}, {2, 20, ""}},
			ledger:  rows{row("a", 0, 10), row("b", 0, 20)},
			want:    shown{Skip: 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.ledger)
			got := actionsOf(tt.listing, tt.ledger, plan.Policy{Keep: tt.keep})
			if diff := cmp.Diff(tt.want, show(got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, tt.ledger); diff != "" {
				t.Errorf("the ledger was changed: %s", diff)
			}
			checkInvariants(t, tt.listing, tt.ledger, got)
		})
	}
}

func TestPlanMarks(t *testing.T) {
	ledger := []mailstore.LedgerEntry{row("a", 0, 10, away(0, 9*day)), row("b", 0, 20, away(3, 4*day))}
	got := actionsOf([]plan.Listed{{7, 10, "a"}}, ledger, plan.Policy{})
	seen := ledger[0]
	seen.LastListedAt = now
	absent := ledger[1]
	absent.Absent, absent.LastListedAt = 4, now
	want := plan.Actions{Skip: 1, Seen: []mailstore.LedgerEntry{seen}, Absent: []mailstore.LedgerEntry{absent}, Unlisted: ledger[1:]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
