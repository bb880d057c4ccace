package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		keep   Keep
		text   string
		age    time.Duration
		wanted bool
	}{
		{Keep{}, "forever", 10000 * day, false},
		{KeepForever(), "forever", 10000 * day, false},
		{KeepNever(), "never", 0, true},
		{KeepFor(30 * day), "30d", 30 * day, true},
		{KeepFor(30 * day), "30d", 30*day - 1, false},
		{KeepFor(time.Hour), "1h0m0s", -time.Hour, false},
		{KeepNewest(500), "newest 500", 10000 * day, false},
		{KeepBelow(80, 1000), "below 80%", 10000 * day, false},
	} {
		if got := tt.keep.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if got := tt.keep.reason(mailstore.LedgerEntry{StoredAt: now.Add(-tt.age)}, 0, 0, now) != ""; got != tt.wanted {
			t.Errorf("%v at the age of %v: due %v", tt.keep, tt.age, got)
		}
	}
}

func TestDue(t *testing.T) {
	removed := func(ago time.Duration) func(*mailstore.LedgerEntry) {
		return func(e *mailstore.LedgerEntry) { e.RemovedAt = now.Add(-ago) }
	}
	wanted := func(e *mailstore.LedgerEntry) { e.Wanted = true }
	// Five messages of 10 bytes; the third is not stored here.
	all := func(change ...func(*mailstore.LedgerEntry)) []*mailstore.LedgerEntry {
		rows := make([]*mailstore.LedgerEntry, 5)
		for i := range rows {
			e := row(fmt.Sprint("u", i+1), 0, 10)
			if i == 0 {
				e = row("u1", 0, 10, change...)
			}
			rows[i] = &e
		}
		rows[2] = nil
		return rows
	}
	for _, tt := range []struct {
		policy Policy
		rows   []*mailstore.LedgerEntry
		want   string
	}{
		{Policy{}, all(), ""},
		{Policy{Keep: KeepNever()}, all(), "1 2 4 5"},
		{Policy{Keep: KeepNever()}, all(wanted), "2 4 5"},
		{Policy{Keep: KeepFor(10 * day)}, all(), "1 2 4 5"},
		{Policy{Keep: KeepFor(11 * day)}, all(), ""},
		{Policy{Keep: KeepNewest(5)}, all(), ""},
		{Policy{Keep: KeepNewest(2)}, all(), "1 2"},
		{Policy{Keep: KeepNewest(3)}, all(wanted), "2"},
		{Policy{Keep: KeepNewest(0)}, all(), "1 2 4 5"},
		{Policy{Keep: KeepBelow(80, 100)}, all(), ""},
		{Policy{Keep: KeepBelow(50, 100)}, all(), "1"},
		{Policy{Keep: KeepBelow(50, 100)}, all(wanted), "2"},
		{Policy{Keep: KeepBelow(50, 80)}, all(), "1 2"},
		{Policy{Keep: KeepBelow(0, 80)}, all(), "1 2 4 5"},
		{Policy{Keep: KeepBelow(80, 0)}, all(), ""}, // no quota stated
		{Policy{Expunged: true, Grace: 7 * day}, all(), ""},
		{Policy{Expunged: true, Grace: 7 * day}, all(removed(7 * day)), "1"},
		{Policy{Expunged: true, Grace: 7 * day}, all(removed(6 * day)), ""},
		{Policy{Expunged: true, Grace: 7 * day}, all(removed(7*day), wanted), ""},
		{Policy{}, all(removed(7 * day)), ""},
		{Policy{Keep: KeepBelow(50, 100), Expunged: true, Grace: day}, all(removed(7 * day)), "1"}, // makes the room
	} {
		t.Run(tt.policy.String(), func(t *testing.T) {
			var listing []Listed
			for n := range tt.rows {
				listing = append(listing, Listed{Num: n + 1, Size: 10, UIDL: fmt.Sprint("u", n+1)})
			}
			var got []string
			for _, d := range tt.policy.due(listing, tt.rows, now) {
				got = append(got, fmt.Sprint(d.Num))
				if d.Reason == "" || d.Entry.UIDL != listing[d.Num-1].UIDL {
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
	e, f := row("a", 0, 1), row("d", 0, 1)
	e.Size, f.Size = 400, 500
	rows := []*mailstore.LedgerEntry{&e, nil, nil, &f}
	for _, size := range []int64{1<<63 - 1, 2147483646, 1001, 0, -5} {
		listing := []Listed{{1, size, "a"}, {2, size, "b"}, {3, -5, "c"}, {4, 500, "d"}}
		if got := (Policy{Keep: KeepBelow(80, 1000)}).due(listing, rows, now); len(got) != 1 || got[0].Num != 1 {
			t.Errorf("listed with %d, due %v", size, got)
		}
		if got := (Policy{Keep: KeepBelow(95, 1000)}).due(listing, rows, now); len(got) != 0 {
			t.Errorf("listed with %d, below the limit, due %v", size, got)
		}
	}
}

func TestPermit(t *testing.T) {
	expunged := func(k Keep, grace time.Duration) Policy {
		return Policy{Keep: k, Expunged: true, Grace: grace}
	}
	keep := func(k Keep) Policy { return Policy{Keep: k} }
	for _, tt := range []struct {
		old, next Policy
		covered   bool
	}{
		{keep(KeepForever()), keep(KeepForever()), true},
		{keep(KeepForever()), keep(KeepFor(1000 * day)), false},
		{keep(KeepNever()), keep(KeepForever()), true},
		{keep(KeepNever()), expunged(KeepNewest(3), 0), true},
		{keep(KeepFor(30 * day)), keep(KeepFor(31 * day)), true},
		{keep(KeepFor(30 * day)), keep(KeepFor(29 * day)), false},
		{keep(KeepFor(30 * day)), keep(KeepNever()), false},
		{keep(KeepFor(30 * day)), keep(KeepNewest(10000)), false},
		{keep(KeepNewest(500)), keep(KeepNewest(500)), true},
		{keep(KeepNewest(500)), keep(KeepNewest(499)), false},
		{keep(KeepBelow(80, 1000)), keep(KeepBelow(40, 2000)), true},
		{keep(KeepBelow(80, 1000)), keep(KeepBelow(79, 1000)), false},
		{keep(KeepForever()), expunged(KeepForever(), 7*day), false},
		{expunged(KeepForever(), 7*day), keep(KeepForever()), true},
		{expunged(KeepForever(), 7*day), expunged(KeepForever(), 8*day), true},
		{expunged(KeepForever(), 7*day), expunged(KeepForever(), 6*day), false},
	} {
		if got := tt.old.Permit().Covers(tt.next.Permit()); got != tt.covered {
			t.Errorf("from %q to %q: covered %v", tt.old, tt.next, got)
		}
	}
}
