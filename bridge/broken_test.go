package bridge

import (
	"slices"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

// answersNoCheck has the account know already that the server answers no check.
func (g *rig) answersNoCheck() {
	g.t.Helper()
	if err := g.runner.Load(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	g.runner.memory.pollState.Without = []string{"UIDL n", "LIST n", "STAT"}
	g.runner.memory.pollState.WithoutAt = g.clock.now().Unix()
}

// retrieved is how often a message was asked for at most, and how often all were.
func (g *rig) retrieved() (most, all int) {
	g.pop.change(func() {
		for _, n := range g.pop.retrs {
			most, all = max(most, n), all+n
		}
	})
	return most, all
}

// A wrong size puts in doubt what comes behind it in the same stream; fetched once more,
// each alone, only the message itself stays so.
func TestAWrongSizeInFrontOfOthers(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 20)
	g.pop.messages[0].size = int64(len(g.pop.messages[0].data)) + 7
	g.answersNoCheck()
	for range 3 {
		g.poll()
		g.clock.advance(20 * time.Minute)
	}
	if n, left := g.runner.Status().Doubtful, g.pop.count(); n != 1 || left != 1 {
		t.Errorf("%d doubtful, %d on the server", n, left)
	}
	if most, _ := g.retrieved(); most != 2 {
		t.Errorf("a message was fetched %d times", most)
	}
	g.wantMail(0, 20)
}

// A server that breaks each session off behind 7 messages: what was compared in one is not
// fetched for that again.
func TestWhatABrokenSessionHasComparedHolds(t *testing.T) {
	t.Run("doubted", func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 60)
		for m := range slices.Values(g.pop.messages) {
			m.size = int64(len(m.data)) + 7
		}
		g.answersNoCheck()
		g.pop.trouble.cutRetr, g.pop.trouble.cutAfter = 8, 3
		for range 30 {
			_, _ = g.runner.Poll(t.Context(), nil)
			g.clock.advance(20 * time.Minute)
		}
		if _, all := g.retrieved(); all > 4*60 {
			t.Errorf("%d messages were fetched for 60", all)
		}
		g.wantMail(0, 60)
	})
	t.Run("renumbered", func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 60)
		g.poll()
		for i, m := range g.pop.messages {
			m.uidl = "new" + uidl(i)
		}
		g.poll()
		g.restart(plan.KeepNever())
		g.pop.trouble.cutRetr, g.pop.trouble.cutAfter = 8, 3
		for range 10 {
			_, _ = g.runner.Poll(t.Context(), nil)
			g.clock.advance(20 * time.Minute)
		}
		if n := g.pop.count(); n != 0 {
			t.Errorf("%d messages are still on the server", n)
		}
		g.wantMail(0, 60)
	})
}

// Where no check can be asked, what came is stored as it comes, and not at the end of a
// session that may last for hours.
func TestWithoutChecksMailIsStoredAsItComes(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 300)
	g.answersNoCheck()
	stored := 0
	g.pop.trouble.retr = func(n int) { // the server says nothing until something is stored
		for end := time.Now().Add(10 * time.Second); n == 290 && stored == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			stored = len(mail(t, g.store, "INBOX"))
		}
	}
	g.poll()
	if stored == 0 {
		t.Error("nothing is stored at the 290th message")
	}
}
