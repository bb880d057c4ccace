package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestDuplicateUIDL(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	for n := range 6 {
		g.pop.add([]string{"same", "same", "other"}[n%3], testkit.Message(n))
	}
	g.want(g.poll(), 6, 0, 0, 6)
	g.want(g.poll(), 0, 0, 0, 6)
	// Another program deletes one in the middle: the rest is still known.
	g.pop.messages = append(g.pop.messages[:1], g.pop.messages[2:]...)
	g.want(g.poll(), 0, 0, 0, 5)
	g.pop.add("same", testkit.Message(6))
	g.want(g.poll(), 1, 0, 0, 6)
	g.wantMail(0, 7)
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 0, 6, 0)
}

func TestRenumbered(t *testing.T) {
	t.Parallel()
	for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepFor(30 * day)} {
		t.Run(keep.String(), func(t *testing.T) {
			g := newRig(t, keep)
			g.fill(0, 60)
			g.want(g.poll(), 60, 0, 0, 60)
			g.clock.advance(20 * day)
			for n, m := range g.pop.messages {
				m.uidl = fmt.Sprintf("new-%d", n)
			}
			g.fill(60, 62)
			g.want(g.poll(), 2, 60, 0, 62)
			g.want(g.poll(), 0, 0, 0, 62)
			g.wantMail(0, 62)
			// The age counts from the first time.
			g.clock.advance(10 * day)
			deleted := 0
			if keep != plan.KeepForever() {
				deleted = 60
			}
			g.want(g.poll(), 0, 0, deleted, 62-deleted)
		})
	}
}

// Renumbered when it was due: adopted and deleted in one session.
func TestRenumberedAndDue(t *testing.T) {
	g := newRig(t, plan.KeepFor(30*day))
	g.fill(0, 5)
	g.want(g.poll(), 5, 0, 0, 5)
	g.clock.advance(31 * day)
	for n, m := range g.pop.messages {
		m.uidl = fmt.Sprintf("new-%d", n)
	}
	g.want(g.poll(), 0, 5, 5, 0)
	g.wantMail(0, 5)
}

// A server that numbers its ids from 1 in each session uses them again for
// other messages.
func TestReusedUIDL(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	for n := range 12 {
		g.pop.add(fmt.Sprint(n%4+1), testkit.Message(n))
		if n%4 == 3 {
			g.want(g.poll(), 4, 0, 4, 0)
			g.want(g.poll(), 0, 0, 0, 0)
		}
	}
	g.wantMail(0, 12)
}

func TestIdsAreForgottenLate(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 3)
	g.poll()
	ledger := func() int {
		entries, err := g.store.Ledger(t.Context(), "home")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	days := 0
	for ; ledger() > 0 && days < 100; days++ {
		g.clock.advance(day)
		g.poll()
		g.poll()
	}
	if days < 30 || days > 35 {
		t.Errorf("forgotten after %d days", days)
	}
	g.wantMail(0, 3)
}

func TestNoUIDL(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 10)
	g.pop.add("", testkit.Message(3)) // twice the same
	g.pop.trouble = trouble{noUIDL: true}
	g.want(g.poll(), 11, 0, 0, 11)
	g.want(g.poll(), 0, 0, 0, 11)
	if c := g.pop.fetched(uidl(0)); c != 1 {
		t.Errorf("fetched %d times", c)
	}
	g.restart(plan.KeepForever())
	g.pop.messages = g.pop.messages[2:]
	g.pop.add("", testkit.Message(10))
	g.want(g.poll(), 1, 0, 0, 10)
	g.want(g.poll(), 0, 0, 0, 10)

	g.pop.add("", testkit.Message(7)) // a second copy, later
	g.want(g.poll(), 1, 0, 0, 11)
	g.want(g.poll(), 0, 0, 0, 11)

	// One day the server learns UIDL: all ids are adopted, and the policy holds.
	g.pop.change(func() { g.pop.trouble = trouble{} })
	for n, m := range g.pop.messages {
		m.uidl = fmt.Sprint("id", n)
	}
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 11, 11, 0)
	want := []string{string(testkit.Message(3)), string(testkit.Message(7))}
	for n := range 11 {
		want = append(want, string(testkit.Message(n)))
	}
	g.wantExactly(want)
}

func TestUIDLRefusedForOnce(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 3)
	g.poll()
	g.fill(3, 6)
	g.pop.change(func() { g.pop.trouble = trouble{noUIDL: true} })
	if err := g.pollError(); !fault.Is(err, fault.Temporary) {
		t.Errorf("error %v", err)
	}
	if s := g.runner.Status(); s.State != Backoff || s.Kind != fault.Temporary || s.Hint == "" || s.LastError == "" || s.Err == nil {
		t.Errorf("status %+v", s)
	}
	g.restart(plan.KeepNever())
	g.pollError()
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.want(g.poll(), 3, 0, 3, 0)
	g.wantMail(0, 6)
}

func TestShortUIDLListing(t *testing.T) {
	g := newRig(t, plan.KeepFor(30*day))
	g.fill(0, 30)
	g.want(g.poll(), 30, 0, 0, 30)
	g.clock.advance(31 * day)
	g.pop.change(func() { g.pop.trouble = trouble{hide: 3} })
	g.want(g.poll(), 0, 0, 30, 0) // those without id were fetched and compared
	entries, err := g.store.Ledger(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Absent > 0 {
			t.Errorf("taken for absent: %+v", e)
		}
	}
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.want(g.poll(), 0, 0, 0, 0)
	g.wantMail(0, 30)
}

// What STAT counts and LIST leaves out is not absent.
func TestShortListing(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	g.fill(0, 30)
	g.poll()
	g.pop.change(func() { g.pop.trouble = trouble{short: 10} })
	for range 40 {
		g.clock.advance(day)
		g.poll()
	}
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.want(g.poll(), 0, 0, 0, 30)
	if n := g.pop.fetched(uidl(29)); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestEmptyUIDLs(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 6)
	g.pop.messages[2].uidl, g.pop.messages[4].uidl = "", strings.Repeat("long", 100)
	g.want(g.poll(), 6, 0, 6, 0)
	g.wantMail(0, 6)
}
