package bridge

import (
	"fmt"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

// alike is message n, of a size that all have.
func alike(n int) []byte { return fmt.Appendf(nil, "Subject: number %03d\r\n\r\ntext\r\n", n) }

// On a server without ids messages are told apart by one RETR at each poll, over
// restarts too, and whatever changes is noticed.
func TestNoUIDLAndAllOfOneSize(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.trouble = trouble{noUIDL: true}
	var want []string
	add := func(n int) {
		g.pop.add("", alike(n))
		want = append(want, string(alike(n)))
	}
	poll := func(stored, most int) {
		t.Helper()
		before := g.pop.fetched("")
		g.restart(plan.KeepForever())
		g.want(g.poll(), stored, 0, 0, len(g.pop.messages))
		if p, err := g.runner.Preview(t.Context()); err != nil || p.Fetch != 0 {
			t.Errorf("the preview fetches %d, %v", p.Fetch, err)
		}
		if n := g.pop.fetched("") - before; n > most {
			t.Errorf("%d messages were fetched, want at most %d", n, most)
		}
	}
	for n := range 20 {
		add(n)
	}
	poll(20, 20)
	poll(0, 1)
	poll(0, 1)
	add(20)
	poll(1, 2)
	poll(0, 1)

	// The listing stays the same, size by size, and one message is another.
	g.pop.messages = g.pop.messages[1:]
	add(21)
	poll(1, 22)
	poll(0, 1)
	g.pop.messages = append(g.pop.messages[:7:7], g.pop.messages[8:]...)
	poll(0, 21)
	poll(0, 1)

	// A copy of a message that is there is another message.
	add(15)
	poll(1, 2)
	poll(0, 1)

	// A large message of a size of its own is told by that.
	large := fmt.Appendf(nil, "Subject: large\r\n\r\n%0*d\r\n", 64<<10, 0)
	g.pop.add("", large)
	want = append(want, string(large))
	poll(1, 2)
	g.pop.messages[len(g.pop.messages)-1].cut = true
	poll(0, 1)
	g.wantExactly(want)
}

// The only message of its size goes, and another of that size comes, in any
// place of the listing.
func TestNoUIDLAndAnotherOfTheSameSize(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		g := newRig(t, plan.KeepForever())
		g.pop.trouble = trouble{noUIDL: true}
		long := func(n int, text string) []byte { return fmt.Appendf(nil, "Subject: %s\r\n\r\n%0*d\r\n", text, 10*n, 0) }
		for m := range 3 {
			g.pop.add("", long(m, "one"))
		}
		g.want(g.poll(), 3, 0, 0, 3)
		g.want(g.poll(), 0, 0, 0, 3)
		g.pop.messages = append(g.pop.messages[:n:n], g.pop.messages[n+1:]...)
		g.pop.add("", long(n, "two"))
		g.want(g.poll(), 1, 0, 0, 3)
		g.want(g.poll(), 0, 0, 0, 3)
	}
}

// A message that cannot be fetched any more is no anchor for long.
func TestNoUIDLAndAnAnchorThatBreaks(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.trouble = trouble{noUIDL: true}
	for n := range 5 {
		g.pop.add("", alike(n))
	}
	g.want(g.poll(), 5, 0, 0, 5)
	for _, m := range g.pop.messages {
		m.cut = true
	}
	for range 4 {
		_, _ = g.runner.Poll(t.Context(), nil)
	}
	if g.runner.memory.pollState.Anchor != nil {
		t.Error("the anchor is still tried")
	}
	for _, m := range g.pop.messages {
		m.cut = false
	}
	g.clock.advance(48 * time.Hour)
	g.pop.add("", alike(5))
	g.want(g.poll(), 1, 0, 0, 6)
	if g.runner.memory.pollState.Anchor == nil {
		t.Error("there is no new anchor")
	}
}

// Where a file is damaged here nothing is taken for granted.
func TestNoUIDLAndADamagedFile(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.trouble = trouble{noUIDL: true}
	for n := range 5 {
		g.pop.add("", alike(n))
	}
	g.want(g.poll(), 5, 0, 0, 5)
	damage(t, g, 1)
	g.want(g.poll(), 0, 1, 0, 5)
	var want []string
	for n := range 5 {
		want = append(want, string(alike(n)))
	}
	g.wantExactly(want)
}
