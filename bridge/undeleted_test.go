package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

// A server deletes only what was retrieved in the session: each is retrieved,
// compared and deleted.
func TestDELEAfterRETR(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 3)
	g.poll()
	g.pop.refuseDele = func(retrieved bool) bool { return !retrieved }
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 0, 3, 0)
	g.wantMail(0, 3)
	if s := g.runner.Status(); s.Undeleted != 0 {
		t.Errorf("%+v", s)
	}
}

// A server that refuses DELE is not asked at every poll, says so in the status
// over restarts, and is asked at once when a person asks.
func TestRefusedDELEBacksOff(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	const n = 250
	g.fill(0, n)
	g.poll()
	g.restart(plan.KeepNever())
	sent := 0
	g.pop.refuseDele = func(bool) bool { sent++; return true }
	g.scheduled()
	first := sent
	if s := g.runner.Status(); s.Undeleted != n || !strings.Contains(s.UndeletedSaid, "not you") || first > 2*deleteBatch {
		t.Errorf("%d DELE, %d refused: %s", first, s.Undeleted, s.UndeletedSaid)
	}
	for range 24 * 6 {
		g.clock.advance(10 * time.Minute)
		g.scheduled()
	}
	if more := (sent - first) / deleteBatch; more < 4 || more > 10 {
		t.Errorf("%d attempts in a day", more)
	}
	g.restart(plan.KeepNever())
	if err := g.runner.Load(t.Context()); err != nil || g.runner.Status().Undeleted != n {
		t.Errorf("after a restart: %+v, %v", g.runner.Status(), err)
	}
	before := sent
	g.poll()
	if sent == before {
		t.Error("not tried when asked")
	}
	g.pop.refuseDele = nil
	g.want(g.poll(), 0, 0, n, 0)
	if s := g.runner.Status(); s.Undeleted != 0 {
		t.Errorf("%+v", s)
	}
	g.wantMail(0, n)
}

// One message that cannot be deleted does not keep the others.
func TestOneRefusedDELE(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 1)
	g.pop.refuseDele = func(bool) bool { return true }
	g.poll()
	first := true
	g.pop.refuseDele = func(bool) bool { was := first; first = false; return was }
	g.fill(1, 4)
	_, _ = g.runner.scheduled(t.Context())
	if n := g.pop.count(); n > 2 {
		t.Errorf("%d are left", n)
	}
	g.wantMail(0, 4)
}

// A DELE refused, and another message there: it is stored and not deleted unseen.
func TestARefusedDELEOfAnotherMessage(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.add("x", alike(0))
	g.poll()
	g.pop.messages[0].data = alike(1)
	g.pop.refuseDele = func(retrieved bool) bool { return !retrieved }
	g.restart(plan.KeepNever())
	g.poll()
	g.poll()
	g.wantAlike(0, 1)
}

// A person who asks is obeyed: what waits is tried at once.
func TestAPersonWhoAsksIsObeyed(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 3)
	g.pop.messages[1].cut = true
	for range 3 {
		_, _ = g.runner.Poll(t.Context(), nil)
	}
	waiting := g.runner.Status().Problems
	if len(waiting) != 1 || time.Until(waiting[0].NextTry) < time.Minute {
		t.Fatalf("%+v", waiting)
	}
	g.pop.change(func() { g.pop.messages[1].cut = false })
	_, _ = g.runner.scheduled(t.Context())
	if len(g.runner.Status().Problems) != 1 {
		t.Error("the schedule does not wait")
	}
	g.want(g.poll(), 1, 0, 0, 3)
	g.wantMail(0, 3)
}
