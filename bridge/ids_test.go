package bridge

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
)

// numbered gives the messages ids as a server that lists positions.
func (g *rig) numbered(format string, messages ...int) {
	g.pop.change(func() {
		g.pop.messages = nil
		for n, m := range messages {
			g.pop.messages = append(g.pop.messages, &popMessage{uidl: fmt.Sprintf(format, n+1), data: alike(m)})
		}
	})
}

func (g *rig) wantAlike(messages ...int) {
	g.t.Helper()
	var want []string
	for _, m := range messages {
		want = append(want, string(alike(m)))
	}
	g.wantExactly(want)
}

// Another program deletes the first message, and one of the same size comes: the
// listing is as before.
func TestIDsThatAreMessageNumbers(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"%d", "%04d", "msg%d"} {
		for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepFor(10 * day), plan.KeepNever()} {
			t.Run(format+" "+keep.String(), func(t *testing.T) {
				g := newRig(t, plan.KeepForever())
				g.numbered(format, 0, 1, 2)
				g.want(g.poll(), 3, 0, 0, 3)
				g.numbered(format, 1, 2, 3)
				if format != "msg%d" { // which does not show before one is deleted
					g.want(g.poll(), 1, 0, 0, 3)
					g.want(g.poll(), 0, 0, 0, 3)
				}
				g.clock.advance(11 * day)
				g.restart(keep)
				for range 3 {
					g.poll()
				}
				g.clock.advance(11 * day)
				g.poll()
				if keep == plan.KeepForever() {
					g.numbered(format, 1, 2, 3, 4)
				} else if n := g.pop.count(); n != 0 {
					t.Errorf("%d messages are left", n)
				} else {
					g.numbered(format, 4)
				}
				g.poll()
				if format != "msg%d" || keep != plan.KeepForever() {
					g.wantAlike(0, 1, 2, 3, 4)
				}
			})
		}
	}
}

// A server whose ids are the message numbers, that gives three messages in a
// session and deletes nothing though it says so, is not polled without end.
func TestMessageNumbersAndAQuitThatLies(t *testing.T) {
	for _, format := range []string{"%d", "id%d"} {
		g := newRig(t, plan.KeepNever())
		g.numbered(format, 0, 1, 2, 3, 4)
		g.pop.trouble = trouble{limit: 3, limitText: "-ERR Download exceed. msg=3", quit: quitLies}
		_, _ = g.runner.Poll(t.Context(), nil)
		if n := len(g.pop.logins()); n > 12 {
			t.Errorf("%d sessions", n)
		}
		g.pop.change(func() { g.pop.trouble = trouble{} })
		g.poll()
		g.wantAlike(0, 1, 2, 3, 4)
		if n := g.pop.count(); n != 0 {
			t.Errorf("%d messages are left", n)
		}
	}
}

// A message removed here is deleted there under the number it has now.
func TestDeletingHereDeletesTheSameMessageThere(t *testing.T) {
	for _, format := range []string{"%d", "msg%d"} {
		g := newRig(t, plan.KeepForever())
		g.numbered(format, 0, 1)
		g.poll()
		g.numbered(format, 1, 2)
		g.poll()
		g.expunge(1)
		g.restart(plan.KeepForever())
		g.runner.account.DeleteExpunged = true
		g.clock.advance(8 * day)
		for range 2 {
			g.poll()
		}
		if left := g.pop.messages; len(left) == 0 || string(left[len(left)-1].data) != string(alike(2)) {
			t.Errorf("%s: %d messages are left", format, len(left))
		}
		if format == "%d" {
			g.wantAlike(0, 2)
			if n := g.pop.count(); n != 1 {
				t.Errorf("%d messages are left", n)
			}
		}
	}
}

// The answer to QUIT is lost, and what is listed under the id of the message
// that was to be deleted is another one of its size.
func TestAnIDUsedAgainAfterALostQuit(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1", "0001", "x", "job17"} {
		for _, quit := range []quitTrouble{quitSilent, quitCut} {
			g := newRig(t, plan.KeepNever())
			g.pop.add(id, alike(0))
			g.pop.trouble = trouble{quit: quit}
			g.poll()
			g.pop.change(func() {
				g.pop.trouble = trouble{}
				g.pop.messages = []*popMessage{{uidl: id, data: alike(1)}}
			})
			g.restart(plan.KeepNever())
			g.poll()
			g.wantAlike(0, 1)
			if n := g.pop.count(); n != 0 {
				t.Errorf("%d messages are left", n)
			}
		}
	}
}

// An id was absent and is back: another message of the same size is fetched, the
// same one is not stored twice.
func TestAnIDThatIsBack(t *testing.T) {
	for _, message := range []int{0, 1} {
		g := newRig(t, plan.KeepForever())
		g.pop.add("x", alike(0))
		g.want(g.poll(), 1, 0, 0, 1)
		g.pop.change(func() { g.pop.messages = nil })
		g.want(g.poll(), 0, 0, 0, 0)
		g.pop.add("x", alike(message))
		g.want(g.poll(), message, 0, 0, 1)
		g.want(g.poll(), 0, 0, 0, 1)
		if n := g.pop.fetched("x"); n != 2 {
			t.Errorf("fetched %d times", n)
		}
	}
}

// Many ids that are back are those of a listing that was short: nothing is
// fetched again, and what is to be deleted is compared.
func TestManyIDsThatAreBack(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	const n = 60 // more than a plan takes for ids that are used again
	g.fill(0, n)
	g.want(g.poll(), n, 0, 0, n)
	all := g.pop.messages
	g.pop.change(func() { g.pop.messages = nil })
	g.poll()
	g.pop.change(func() { g.pop.messages = all })
	g.want(g.poll(), 0, 0, 0, n)
	if c := g.pop.fetched(uidl(3)); c != 1 {
		t.Errorf("fetched %d times", c)
	}
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 0, n, 0)
	if c := g.pop.fetched(uidl(3)); c != 2 {
		t.Errorf("fetched %d times", c)
	}
}

// A server that counts its messages and uses no number twice looks at first like
// one whose ids are message numbers. Nothing comes twice, and once its ids have
// risen above a deleted one they are trusted.
func TestIDsThatAreSmallNumbers(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	for n := 1; n <= 3; n++ {
		g.pop.add(strconv.Itoa(n), alike(n))
		g.want(g.poll(), 1, 0, 0, n)
	}
	g.pop.change(func() { g.pop.messages = g.pop.messages[1:] })
	g.poll()
	if !g.runner.memory.pollState.IDs.Numbered {
		t.Error("trusted too soon")
	}
	g.pop.change(func() { g.pop.messages = g.pop.messages[:1] })
	g.poll()
	g.pop.add("4", alike(4))
	g.poll()
	g.wantAlike(1, 2, 3, 4)
	g.pop.change(func() { g.pop.messages = g.pop.messages[:1] })
	g.poll()
	g.pop.add("5", alike(5))
	g.poll()
	g.wantAlike(1, 2, 3, 4, 5)
	if g.runner.memory.pollState.IDs.Numbered {
		t.Error("not trusted")
	}
	before := g.pop.fetched("2") + g.pop.fetched("5")
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 0, 2, 0)
	if n := g.pop.fetched("2") + g.pop.fetched("5"); n != before {
		t.Errorf("%d fetched again", n-before)
	}
}

// A server that was seen using an id twice is not trusted with any other.
func TestAServerThatUsesIDsAgain(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.add("a", alike(0))
	g.pop.add("b", alike(1))
	g.poll()
	g.pop.messages[1].data = append(alike(2), "longer\r\n"...)
	g.want(g.poll(), 1, 0, 0, 2)
	g.pop.messages[0].data = alike(3) // of the same size
	g.restart(plan.KeepNever())
	g.want(g.poll(), 1, 0, 2, 0)
	g.wantExactly([]string{string(alike(0)), string(alike(1)), string(append(alike(2), "longer\r\n"...)), string(alike(3))})
}

// Ids that are places, counted from anywhere: no message is deleted that was not
// fetched, and none is stored twice.
func TestIDsThatArePlaces(t *testing.T) {
	for _, format := range []string{"%x", "1.%d", "u%02d", "00%x"} {
		for _, keep := range []plan.Keep{plan.KeepNever(), plan.KeepNewest(2), plan.KeepNewest(1)} {
			g := newRig(t, keep)
			box := func(messages ...int) {
				g.pop.change(func() { g.pop.messages = nil })
				for place, m := range messages {
					g.pop.add(fmt.Sprintf(format, place+9), alike(m))
				}
			}
			box(0, 1, 2)
			g.poll()
			box(3, 4, 5, 6)
			for range 3 {
				g.poll()
			}
			there := make(map[string]bool)
			for _, m := range g.pop.messages {
				there[string(m.data)] = true
			}
			for m := range 7 {
				n := 0
				for _, stored := range mail(t, g.store, "INBOX") {
					if stored == string(alike(m)) {
						n++
					}
				}
				if n > 1 || n == 0 && !there[string(alike(m))] {
					t.Errorf("%s, %s: message %d is here %d times, on the server %v", format, keep, m, n, there[string(alike(m))])
				}
			}
		}
	}
}

// Ids that fall with the number of messages prove nothing.
func TestIDsThatFallProveNothing(t *testing.T) {
	g := newRig(t, plan.KeepNewest(1))
	for _, box := range [][]string{{"1", "0"}, {"0"}, {"0"}} {
		g.pop.change(func() { g.pop.messages = nil })
		for _, id := range box {
			g.pop.add("x"+id, alike(len(g.pop.messages)+len(box)))
		}
		g.poll()
	}
	if g.runner.memory.pollState.IDs.Proven {
		t.Error("they are taken for ids that stay with their messages")
	}
}

// After End a runner does nothing, whoever still has it.
func TestARunnerThatHasEnded(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 3)
	g.poll()
	g.runner.End()
	g.fill(3, 4)
	if r, err := g.runner.Poll(t.Context(), nil); !fault.Is(err, fault.Temporary) || r.Stored != 0 {
		t.Errorf("poll: %+v, %v", r, err)
	}
	if _, err := g.runner.Preview(t.Context()); err == nil {
		t.Error("a preview goes through")
	}
	if err := g.runner.Confirm(t.Context()); err == nil {
		t.Error("a confirmation is written")
	}
}

// A poll that End interrupts says why it ended, and is no failure of the account.
func TestARunnerThatEndsInTheMiddleOfAPoll(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 3)
	_, err := g.runner.Poll(t.Context(), func(p Progress) {
		if p.Phase == PhaseConnect {
			g.runner.end()
		}
	})
	if !errors.Is(err, errEnded) {
		t.Errorf("poll: %v", err)
	}
	if s := g.runner.Status(); s.LastError != "" {
		t.Errorf("it is taken for a failure: %q", s.LastError)
	}
}
