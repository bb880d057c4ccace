package bridge

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// sized is a message of n bytes.
func sized(n, size int) []byte {
	head := fmt.Sprintf("Subject: %d\r\n\r\n", n)
	return []byte(head + strings.Repeat("x", size-len(head)-2) + "\r\n")
}

func TestPresumeRenumbered(t *testing.T) {
	type rows = []mailstore.LedgerEntry
	known := func(n int, change ...func(*mailstore.LedgerEntry)) rows {
		var out rows
		for i := range n {
			out = append(out, row(fmt.Sprint("old", i), 0, int64(1000+i), change...))
		}
		return out
	}
	listed := func(n int) []Listed {
		var out []Listed
		for i := range n {
			out = append(out, Listed{Num: i + 1, Size: int64(1000 + i), UIDL: fmt.Sprint("new", i)})
		}
		return out
	}
	with := func(l []Listed, change func([]Listed)) []Listed { change(l); return l }
	for _, tt := range []struct {
		name    string
		listing []Listed
		ledger  rows
		keep    Keep
		readopt int
		fetch   int
	}{
		{name: "all", listing: listed(40), ledger: known(40), readopt: 40},
		{name: "whatever the policy", listing: listed(40), ledger: known(40), keep: KeepNever(), readopt: 40},
		{name: "one new amid", listing: append(listed(40), Listed{41, 9999, "more"}), ledger: known(40), readopt: 40, fetch: 1},
		{name: "one gone", listing: listed(39), ledger: known(40), readopt: 39},
		{name: "one size twice in the listing", listing: append(listed(40), Listed{41, 1007, "more"}), ledger: known(40), readopt: 39, fetch: 2},
		{name: "one size twice in the ledger", listing: listed(40), ledger: append(known(40), row("long gone", 0, 1007, away(3, 30*day))), readopt: 39, fetch: 1},
		{name: "one deleted", listing: listed(40), ledger: append(known(39), row("x", 0, 1039, state(mailstore.DeleteAcked))), readopt: 39, fetch: 1},
		{name: "one damaged here", listing: listed(40), ledger: append(known(39), row("x", 0, 1039, func(e *mailstore.LedgerEntry) { e.Wanted = true })), readopt: 39, fetch: 1},
		{name: "renumbered again", listing: listed(40), ledger: known(40, state(mailstore.Presumed)), readopt: 40},
		{name: "too few", listing: listed(9), ledger: known(9), fetch: 9},
		{name: "a known id", listing: with(listed(40), func(l []Listed) { l[3].UIDL = "old3" }), ledger: known(40), fetch: 39},
		{name: "an empty id", listing: with(listed(40), func(l []Listed) { l[3].UIDL = "" }), ledger: known(40), fetch: 39},
		{name: "a number that is missing", listing: with(listed(40), func(l []Listed) { l[39].Num = 41 }), ledger: known(40), fetch: 40},
		{name: "mostly unknown sizes", listing: append(listed(40), with(listed(40), func(l []Listed) {
			for i := range l {
				l[i] = Listed{Num: 41 + i, Size: int64(5000 + i), UIDL: fmt.Sprint("more", i)}
			}
		})...), ledger: known(40), fetch: 80},
		{name: "no sizes", listing: with(listed(40), func(l []Listed) {
			for i := range l {
				l[i].Size = 0
			}
		}), ledger: known(40), fetch: 40},
		{name: "not there before", listing: listed(40), ledger: known(40, away(1, day)), fetch: 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Plan(tt.listing, tt.ledger, Policy{Keep: tt.keep}, now)
			if len(got.Readopt) != tt.readopt || len(got.Fetch) != tt.fetch || len(got.Delete) != 0 && tt.readopt > 0 {
				t.Errorf("%d readopted, %d fetched, %d deleted", len(got.Readopt), len(got.Fetch), len(got.Delete))
			}
			for _, m := range got.Readopt {
				if m.From.UIDL[3:] != m.To.UIDL[3:] || m.ListSize == 0 || m.To.Account != "home" {
					t.Errorf("%+v", m)
				}
			}
			checkLaws(t, tt.listing, tt.ledger, got)
		})
	}
}

// A row that was taken for a message by its size is compared before the
// message is deleted, and nothing else.
func TestPresumedIsNotDeleted(t *testing.T) {
	presumed := state(mailstore.Presumed)
	listing := []Listed{{1, 10, "a"}, {2, 20, "b"}}
	ledger := []mailstore.LedgerEntry{row("a", 0, 10, presumed), row("b", 0, 20)}
	if got := Plan(listing, ledger, Policy{}, now); len(got.Fetch) != 0 || got.Skip != 2 || len(got.Unlisted) != 1 {
		t.Errorf("kept: %+v", got)
	}
	got := Plan(listing, ledger, Policy{Keep: KeepNever()}, now)
	if len(got.Delete) != 1 || got.Delete[0].Num != 2 || len(got.Fetch) != 1 || got.Fetch[0].Row == nil {
		t.Errorf("due: %+v", got)
	}
	checkLaws(t, listing, ledger, got)
}

// 400 kept messages get new ids: none is fetched again, none delivered again,
// UIDs and flags stay, and none is deleted before it was compared.
func TestRenumberedWithoutFetching(t *testing.T) {
	t.Parallel()
	g := newRig(t, KeepForever())
	for n := range 400 {
		g.pop.add(uidl(n), sized(n, 200+7*n))
	}
	g.want(g.poll(), 400, 0, 0, 400)
	before := snapshot(t, g)
	fetched := func() (n int) {
		g.pop.mu.Lock()
		defer g.pop.mu.Unlock()
		for _, c := range g.pop.retrs {
			n += c
		}
		return n - 400
	}
	renumber := func(name string) {
		for n, m := range g.pop.messages {
			m.uidl = fmt.Sprintf("%s-%d", name, n)
		}
	}
	renumber("second")
	p, err := g.runner.Preview(t.Context())
	if err != nil || p.Fetch != 0 || p.Kept != 400 {
		t.Errorf("preview fetches %d, keeps %d, error %v", p.Fetch, p.Kept, err)
	}
	var phases []string
	var log bytes.Buffer
	g.runner.log = zerolog.New(&log)
	result, err := g.runner.Poll(t.Context(), func(p Progress) { phases = append(phases, p.Phase) })
	if err != nil || !strings.Contains(strings.Join(phases, " "), PhaseCompare) {
		t.Errorf("phases %v, error %v", phases, err)
	}
	if !strings.Contains(log.String(), `"messages":400,"fetched":0,"message":"server renumbered its messages`) {
		t.Errorf("the log does not tell: %s", &log)
	}
	g.want(result, 0, 400, 0, 400)
	g.want(g.poll(), 0, 0, 0, 400)
	if n := fetched(); n != 0 {
		t.Errorf("%d messages fetched again", n)
	}

	// Once more, with two arrivals, of which one has the size of another.
	renumber("third")
	g.pop.add("x", sized(1000, 200+7*13))
	g.pop.add("y", sized(1001, 5000))
	g.want(g.poll(), 2, 400, 0, 402)
	if n := fetched(); n != 3 {
		t.Errorf("%d messages fetched", n)
	}
	if after := snapshot(t, g); after[:len(before)] != before {
		t.Error("UIDs or flags have changed")
	}

	// Now they may go: each is compared first.
	g.restart(KeepNewest(2))
	if p, err := g.runner.Preview(t.Context()); err != nil || p.Fetch != 399 || len(p.Delete) != 400 {
		t.Errorf("preview fetches %d, deletes %d, error %v", p.Fetch, len(p.Delete), err)
	}
	g.want(g.poll(), 0, 0, 400, 2)
	if n := fetched(); n != 3+399 {
		t.Errorf("%d messages fetched", n)
	}
}

// snapshot is what a mail client sees of INBOX.
func snapshot(t *testing.T, g *rig) string {
	t.Helper()
	inbox, err := g.store.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	view, err := g.store.OpenView(t.Context(), inbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var out strings.Builder
	s := view.Snapshot()
	for i := range s.UIDs {
		fmt.Fprintln(&out, s.UIDs[i], s.Flags[i], s.Sizes[i], s.Contents[i])
	}
	return out.String()
}

// What was taken for a stored message and proves to be another is delivered,
// not deleted.
func TestPresumedWrongly(t *testing.T) {
	g := newRig(t, KeepForever())
	for n := range 30 {
		g.pop.add(uidl(n), sized(n, 200+n))
	}
	g.poll()
	for n, m := range g.pop.messages {
		m.uidl = fmt.Sprint("new", n)
	}
	g.pop.messages[4].data = sized(99, 204) // in the moment of the renumbering
	g.want(g.poll(), 0, 30, 0, 30)
	g.restart(KeepNever())
	if p, err := g.runner.Preview(t.Context()); err != nil || len(p.Delete) != 30 || p.Delete[0].UIDL != "new0" {
		t.Errorf("preview %+v, error %v", p, err)
	}
	g.pop.messages[6].err = "-ERR not now"
	if got := g.poll(); got.Stored != 1 || got.Deleted != 29 || g.pop.count() != 1 {
		t.Errorf("%+v, %d left", got, g.pop.count())
	}
	want := []string{string(sized(99, 204))}
	for n := range 30 {
		want = append(want, string(sized(n, 200+n)))
	}
	g.wantExactly(want)
}

// Readopt is the method of this name in mailstore, on a map.
func (s *memStore) Readopt(_ context.Context, account string, moves []mailstore.Readoption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	ledger := s.rows(account)
	for _, m := range moves {
		row, known := ledger[m.From]
		if _, taken := ledger[m.To]; !known || taken {
			s.breach("%s gives the row %v the id %v", account, m.From, m.To)
			continue
		}
		delete(ledger, m.From)
		row.Origin, row.ListSize, row.State, row.LastListedAt, row.Absent = m.To, m.ListSize, mailstore.Presumed, s.now(), 0
		ledger[m.To] = row
	}
	return nil
}
