package outbox

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A session on a connection that died with the network is not waited for, at any step up to
// the final dot.
func TestResumeEndsASession(t *testing.T) {
	for _, at := range []string{"mail", "rcpt", "data", "body"} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			dead := true
			g.server.stall = func(step string) bool { return dead && step == at }
			id := g.submit("b")
			stop := g.serve()
			pass(time.Minute)
			g.wantTaken(map[string]int{})
			dead = false
			g.runner.Resume()
			pass(stopNet)
			g.wantTaken(map[string]int{"b": 1})
			if m := g.queue.get(id); m.ID != 0 {
				t.Errorf("%s: message %+v", at, m)
			}
			if s := g.runner.Status(); s.State != Idle || s.Err != nil || g.server.sessions() != 2 {
				t.Errorf("%s: status %+v, %d sessions", at, s, g.server.sessions())
			}
			stop()
		})
	}
}

// What has come to the final dot waits for its answer, or it would never be known.
func TestResumeAfterTheDot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.dot = func(smtp.Envelope) dot { return dot{after: 9 * time.Minute} }
		id := g.submit("b")
		stop := g.serve()
		pass(time.Minute)
		g.runner.Resume()
		pass(time.Minute)
		if m := g.queue.get(id); m.State != mailstore.Handing {
			t.Errorf("message %+v", m)
		}
		pass(8 * time.Minute)
		g.wantTaken(map[string]int{"b": 1})
		if len(g.queue.left) != 1 || g.server.sessions() != 1 {
			t.Errorf("states %v, %d sessions", g.queue.states(), g.server.sessions())
		}
		stop()
	})
}

// A session that rests between two messages is not used again.
func TestResumeEndsAnIdleSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.restart(Account{Limits: plan.Limits{PerMinute: 1}})
		g.submit("b")
		g.submit("c")
		stop := g.serve()
		pass(time.Second)
		g.runner.Resume()
		pass(2 * time.Minute)
		g.wantTaken(map[string]int{"b": 1, "c": 1})
		if g.server.sessions() != 2 {
			t.Errorf("%d sessions", g.server.sessions())
		}
		stop()
	})
}

// A runner that is to be replaced begins nothing more, and waits for the answer to the final
// dot only, however long it takes.
func TestFinish(t *testing.T) {
	for _, at := range []string{"mail", "rcpt", "data", "body", "dot", "idle", "early"} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.stall = func(step string) bool { return step == at }
			g.server.dot = func(smtp.Envelope) dot { return dot{after: 9 * time.Minute} }
			if at == "early" {
				g.runner.Finish()
			}
			var id mailstore.OutgoingID
			if at != "idle" {
				id = g.submit("b")
				g.submit("c")
			}
			ended := make(chan error, 1)
			go func() { ended <- g.runner.Serve(t.Context()) }()
			pass(time.Minute)
			g.runner.Finish()
			pass(stopNet)
			if at == "dot" {
				if m := g.queue.get(id); m.State != mailstore.Handing {
					t.Errorf("message %+v", m)
				}
				pass(9 * time.Minute)
				g.wantTaken(map[string]int{"b": 1})
				if len(g.queue.left) != 1 {
					t.Errorf("states %v", g.queue.states())
				}
			} else {
				g.wantTaken(map[string]int{})
				if m := g.queue.get(id); m.Attempts != 0 || m.State == mailstore.Unknown {
					t.Errorf("%s: message %+v", at, m)
				}
			}
			select {
			case err := <-ended:
				if err != nil || g.server.open != 0 {
					t.Errorf("%s: %v, %d sessions", at, err, g.server.open)
				}
			default:
				t.Fatalf("%s: it goes on", at)
			}
		})
	}
}
