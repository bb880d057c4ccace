package bridge

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
)

// A message of which little came is gone, and another one has its id and listed
// size: it is stored too, although no more of it came than of the first.
func TestAnIDUsedAgainAfterAMessageInDoubt(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.add("x", alike(0)).size = 50_000
	g.poll()
	g.pop.change(func() { g.pop.messages = nil })
	g.poll()
	g.pop.add("x", alike(1)).size = 50_000
	g.poll()
	g.wantAlike(0, 1)
	for range 3 {
		g.clock.advance(2 * day)
		g.poll()
	}
	g.wantAlike(0, 1)
}

// RFC 2449 section 6.7: a server with EXPIRE 0 deletes at QUIT what was
// retrieved. The original of a message of which little came stays.
func TestTheOriginalOfAMessageInDoubtOutlivesExpire0(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.caps = append(g.pop.caps, "EXPIRE 0")
	g.pop.trouble.expire = true
	g.pop.add("x", alike(0)).size = 50_000
	for range 3 {
		g.poll()
		g.clock.advance(2 * day)
	}
	g.wantAlike(0)
	if n := g.pop.count(); n != 1 {
		t.Errorf("%d messages are left", n)
	}
}

// What has to be compared before its deletion, and may not be deleted for now, is
// not fetched at each poll.
func TestARefusedDELEIsNotComparedAtEachPoll(t *testing.T) {
	for _, format := range []string{"%d", "msg%d"} {
		g := newRig(t, plan.KeepForever())
		g.numbered(format, 0, 1, 2)
		g.poll()
		g.pop.refuseDele = func(bool) bool { return true }
		g.restart(plan.KeepNever())
		g.scheduled()
		fetched := func() (n int) {
			for _, m := range g.pop.messages {
				n += g.pop.fetched(m.uidl)
			}
			return n
		}
		before := fetched()
		for range 5 {
			g.scheduled()
		}
		if more := fetched() - before; more > 5 { // the anchor, once at each poll
			t.Errorf("%s: %d messages were fetched in 5 polls", format, more)
		}
	}
}

// What may not be whole here is no part of the deletions that are allowed: it stays until
// that is said of the message itself.
func TestConfirmLeavesWhatIsIncomplete(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.add("whole", alike(1))
	g.pop.add("less", alike(0)).size = 50_000
	for range 3 {
		g.poll()
		g.clock.advance(2 * day)
	}
	g.restart(plan.KeepNever())
	g.runner.account.ConfirmDeletes = true
	g.scheduled()
	p, err := g.runner.Preview(t.Context())
	if err != nil || len(p.Delete) != 1 || len(p.Incomplete) != 1 || p.Incomplete[0].UIDL != "less" || !strings.Contains(p.Incomplete[0].Reason, "of the 50000 octets") {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := g.runner.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func(want, doubtful int) {
		t.Helper()
		for range 2 {
			g.clock.advance(day)
			g.scheduled()
		}
		if n, s := g.pop.count(), g.runner.Status(); n != want || s.Doubtful != doubtful {
			t.Errorf("%d messages on the server and %d that may not be whole, want %d and %d", n, s.Doubtful, want, doubtful)
		}
	}
	left(1, 1)
	if n, err := g.runner.ConfirmIncomplete(t.Context(), []string{"whole"}); n != 0 || err != nil {
		t.Errorf("of another message: %d, %v", n, err)
	}
	left(1, 1)
	if n, err := g.runner.ConfirmIncomplete(t.Context(), []string{"less"}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	left(0, 0)
}
