package outbox

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// When the answer to the final dot is lost, a person decides.
func TestUnknownIsNeverSentAgainByItself(t *testing.T) {
	for name, d := range map[string]dot{
		"taken": {cut: true}, "not taken": {lost: true}, "cut after 9 minutes": {cut: true, after: 9 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.dot = func(smtp.Envelope) dot { return d }
			id := g.submit("b")
			stop := g.serve()
			pass(30 * 24 * time.Hour)
			if len(g.doubts) != 1 || !bytes.Contains(g.doubts[0], []byte("popbridge outbox retry 1")) || !bytes.Contains(g.doubts[0], []byte("Final-Recipient: rfc822; b\r\n")) {
				t.Errorf("%s: told %q", name, g.doubts)
			}
			if m := g.queue.get(id); m.State != mailstore.Unknown || m.LastError == "" {
				t.Errorf("%s: message %+v", name, m)
			}
			before := 1
			if d.lost {
				before = 0
			}
			g.wantTaken(map[string]int{"b": before})
			if s := g.runner.Status(); s.Unknown != 1 || s.Waiting != 0 {
				t.Errorf("%s: status %+v", name, s)
			}
			g.server.change(func() { g.server.dot = nil })
			g.runner.Wake()
			g.runner.Retry()
			pass(time.Hour)
			g.wantTaken(map[string]int{"b": before})
			g.queue.retry(id)
			synctest.Wait()
			g.wantTaken(map[string]int{"b": before + 1})
			stop()
		})
	}
}

// A late answer is an answer.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.dot = func(smtp.Envelope) dot { return dot{after: 9 * time.Minute} }
		g.submit("b")
		stop := g.serve()
		pass(10 * time.Minute)
		g.wantTaken(map[string]int{"b": 1})
		if len(g.queue.left) != 1 {
			t.Errorf("states %v", g.queue.states())
		}
		stop()
	})
}

// Who stops the runner while an answer is outstanding waits for it, for a moment.
func TestStopWhileHandingOver(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{2 * time.Second, "[]"}, {time.Minute, "[3]"}} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.dot = func(smtp.Envelope) dot { return dot{after: tt.after} }
			g.submit("b")
			stop := g.serve()
			pass(100 * time.Millisecond)
			began := time.Now()
			stop()
			if took := time.Since(began); took > stopNet+quitFor {
				t.Errorf("stopped after %v", took)
			}
			if got := fmt.Sprint(g.queue.states()); got != tt.want {
				t.Errorf("answer after %v: states %s", tt.after, got)
			}
		})
	}
}

// Who stops the runner before the final dot has a message that was not sent.
func TestStopBeforeTheDot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.body = func(smtp.Envelope) error { time.Sleep(time.Second); return nil }
		id := g.submit("b")
		stop := g.serve()
		pass(100 * time.Millisecond)
		stop()
		g.wantTaken(map[string]int{})
		if m := g.queue.get(id); m.State != mailstore.Waiting || m.Attempts != 0 {
			t.Errorf("message %+v", m)
		}
	})
}

// What a person does while a message is on its way counts up to the final dot.
func TestCancelledBeforeTheDot(t *testing.T) {
	for name, act := range map[string]func(*rig){
		"dropped": func(g *rig) { g.queue.drop(1) },
		"held":    func(g *rig) { g.queue.change(1, func(m *mailstore.Outgoing) { m.State = mailstore.Held }) },
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.body = func(e smtp.Envelope) error {
				if e.To[0] == "b" {
					act(g)
				}
				return nil
			}
			g.submit("b")
			g.submit("c")
			stop := g.serve()
			synctest.Wait()
			g.wantTaken(map[string]int{"c": 1})
			if m := g.queue.get(1); m.Attempts != 0 || m.LastError != "" || m.State == mailstore.Waiting {
				t.Errorf("%s: message %+v", name, m)
			}
			stop()
		})
	}
}

// What the store cannot write down is kept until it can, and nothing else is sent
// before.
func TestStoreFails(t *testing.T) {
	disk := fault.New(fault.Full, "no space left", "free some space")
	for _, call := range []string{"Outgoing", "OpenOutgoing", "BeginHandover", "Attempted", "SendingMemory"} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			var broken atomic.Bool
			broken.Store(true)
			g.queue.broken = func(name string) error {
				if name == call && broken.Load() {
					return disk
				}
				return nil
			}
			g.submit("b")
			g.submit("c")
			stop := g.serve()
			pass(10 * time.Minute)
			got := g.server.count()
			if s := g.runner.Status(); call == "Outgoing" && (s.State != Paused || s.Kind != fault.Full || s.Hint == "") {
				t.Errorf("%s: status %+v", call, s)
			}
			if got["b"]+got["c"] > 1 || call != "Attempted" && len(got) > 0 {
				t.Errorf("%s: taken %v while the store fails", call, got)
			}
			broken.Store(false)
			pass(time.Hour)
			g.wantTaken(map[string]int{"b": 1, "c": 1})
			if s := g.runner.Status(); s.State != Idle || s.Err != nil || len(g.queue.all) != 0 {
				t.Errorf("%s: status %+v, queue %+v", call, s, g.queue.all)
			}
			stop()
		})
	}
}

// A message that a runner before this one was handing over, and could not write down, is
// in doubt.
func TestHandingIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		id := g.submit("b")
		g.queue.change(id, func(m *mailstore.Outgoing) { m.State = mailstore.Handing })
		stop := g.serve()
		pass(time.Hour)
		g.wantTaken(map[string]int{})
		if m := g.queue.get(id); m.State != mailstore.Unknown {
			t.Errorf("message %+v", m)
		}
		stop()
	})
}

// What another runner hands over is that one's, whatever the account is called now; where
// nobody does, it is in doubt.
func TestWhatIsHandedOverElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		id := g.submit("b")
		if err := g.queue.BeginHandover(t.Context(), id, []string{"b"}); err != nil {
			t.Fatal(err)
		}
		var elsewhere atomic.Bool
		elsewhere.Store(true)
		g.runner.o.Elsewhere = func() []mailstore.OutgoingID {
			if elsewhere.Load() {
				return []mailstore.OutgoingID{id}
			}
			return nil
		}
		stop := g.serve()
		g.submit("c") // is not held up
		pass(time.Minute)
		if m := g.queue.get(id); m.State != mailstore.Handing || len(g.doubts) != 0 {
			t.Errorf("message %+v, told %q", m, g.doubts)
		}
		elsewhere.Store(false)
		g.runner.Wake()
		pass(time.Minute)
		if m := g.queue.get(id); m.State != mailstore.Unknown || len(g.doubts) != 1 {
			t.Errorf("message %+v, told %q", m, g.doubts)
		}
		g.wantTaken(map[string]int{"c": 1})
		stop()
	})
}

// A runner says what it hands over until that is written down, also where the store cannot for
// a time.
func TestHanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.dot = func(smtp.Envelope) dot { return dot{after: time.Minute} }
		var failing atomic.Bool
		failing.Store(true)
		g.queue.broken = func(call string) error {
			if call == "Attempted" && failing.Load() {
				return fault.New(fault.Full, "disk full", "")
			}
			return nil
		}
		id := g.submit("b")
		stop := g.serve()
		for _, at := range []time.Duration{30 * time.Second, time.Minute} {
			if pass(at); g.runner.Handing() != id {
				t.Errorf("after %v %d is handed over", at, g.runner.Handing())
			}
		}
		failing.Store(false)
		pass(2 * time.Minute)
		if n := g.runner.Handing(); n != 0 {
			t.Errorf("at the end %d is handed over", n)
		}
		g.wantTaken(map[string]int{"b": 1})
		stop()
	})
}
