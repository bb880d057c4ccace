package outbox

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
)

// A thousand messages that were queued offline leave in their order, over one
// connection, at the rate of the account.
func TestThousandLeaveAtTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		const n = 1000
		want := make(map[string]int)
		for i := range n {
			g.submit(fmt.Sprint(i))
			want[fmt.Sprint(i)] = 1
		}
		stop := g.serve()
		pass(35 * time.Minute)
		g.wantTaken(want)
		times := g.server.times()
		for i := range times {
			if got := g.server.taken[i].to[0]; got != fmt.Sprint(i) {
				t.Fatalf("message %s left as number %d", got, i)
			}
			if i >= 30 && times[i].Sub(times[i-30]) < time.Minute {
				t.Fatalf("31 messages in %v", times[i].Sub(times[i-30]))
			}
		}
		if took := times[n-1].Sub(times[0]); took > 34*time.Minute {
			t.Errorf("it took %v", took)
		}
		if len(g.server.dials) != 1 {
			t.Errorf("%d sessions", len(g.server.dials))
		}
		stop()
	})
}

// Memory does not grow with the size of a message, nor with their number beyond what
// the queue itself lists.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		large := append(sample(1), make([]byte, 20<<20)...)
		g.server.discard = true
		for i := range 50 {
			g.queue.submit("home", "a@example.org", large, fmt.Sprint(i))
		}
		var most, base runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&base)
		g.server.dot = func(smtp.Envelope) dot {
			runtime.GC()
			runtime.ReadMemStats(&most)
			if grown := int64(most.HeapAlloc) - int64(base.HeapAlloc); grown > 8<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			return dot{}
		}
		stop := g.serve()
		pass(5 * time.Minute)
		if n := len(g.server.taken); n != 50 {
			t.Errorf("%d messages sent", n)
		}
		stop()
	})
}

// An account without mail costs nothing.
func TestIdleCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		lists := 0
		g.queue.broken = func(call string) error {
			if call == "Outgoing" || call == "SetSendingMemory" {
				lists++
			}
			return nil
		}
		stop := g.serve()
		pass(30 * 24 * time.Hour)
		if lists != 1 || len(g.server.dials) != 0 {
			t.Errorf("%d looks at the queue, %d sessions in a month", lists, len(g.server.dials))
		}
		stop()
	})
}

// Messages that come one shortly after the other leave over one connection, which ends soon
// after the last one. A server that has ended it meanwhile costs the next one nothing.
func TestABurstIsOneLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		stop := g.serve()
		sessions := func() (made, open int) {
			g.server.change(func() { made, open = len(g.server.dials), g.server.open })
			return made, open
		}
		want := map[string]int{}
		for n := range 12 {
			g.submit(fmt.Sprint(n))
			want[fmt.Sprint(n)] = 1
			pass(2 * time.Second)
		}
		if made, open := sessions(); made != 1 || open != 1 {
			t.Errorf("%d sessions, %d are open", made, open)
		}
		if s := g.runner.Status(); s.State != Idle || !s.Next.IsZero() {
			t.Errorf("status %+v", s)
		}
		pass(keepFor)
		if made, open := sessions(); made != 1 || open != 0 {
			t.Errorf("%d sessions, %d are open afterwards", made, open)
		}
		g.submit("then")
		pass(time.Second)
		var ended atomic.Bool
		g.server.change(func() {
			g.server.mail = func(smtp.Envelope) smtp.Reply {
				if ended.CompareAndSwap(false, true) {
					return cut
				}
				return smtp.Reply{}
			}
		})
		id := g.submit("later", "gone") // gone: it stays, with what was noted of it
		g.server.change(func() {
			g.server.rcpt = func(a string) smtp.Reply {
				if a == "gone" {
					return smtp.Reply{Code: 550, Text: "no such user"}
				}
				return smtp.Reply{}
			}
		})
		pass(time.Second)
		if made, _ := sessions(); made != 3 || !ended.Load() {
			t.Errorf("%d sessions", made)
		}
		if m := g.queue.get(id); m.Attempts != 1 {
			t.Errorf("message %+v", m)
		}
		want["then"], want["later"] = 1, 1
		g.wantTaken(want)
		stop()
	})
}

// A message that waits for its time keeps no session open until then.
func TestASessionIsNotKeptForWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.submit("now")
		g.queue.delay = time.Minute
		g.submit("later")
		stop := g.serve()
		pass(keepFor)
		var open int
		g.server.change(func() { open = g.server.open })
		if s := g.runner.Status(); s.State != Waiting || s.Next.IsZero() || open != 0 {
			t.Errorf("status %+v, %d sessions are open", s, open)
		}
		pass(time.Minute)
		g.wantTaken(map[string]int{"now": 1, "later": 1})
		stop()
	})
}
