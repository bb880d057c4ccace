package outbox

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// The limit of a day is kept over restarts, and said; a person may try all the same.
func TestTheLimitOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		gmail := Account{Limits: plan.Limits{PerDay: 3}}
		g.restart(gmail)
		for n := range 6 {
			g.submit(fmt.Sprint(n))
		}
		stop := g.serve()
		pass(time.Hour)
		stop()
		g.restart(gmail)
		stop = g.serve()
		pass(time.Hour)
		if n := len(g.server.times()); n != 3 {
			t.Fatalf("%d sent", n)
		}
		if s := g.runner.Status(); s.State != Paused || !strings.Contains(s.LastError, "3 messages in 24 hours") || s.Hint == "" || time.Until(s.Next) < 20*time.Hour {
			t.Errorf("status %+v", s)
		}
		g.runner.Retry()
		pass(time.Minute)
		if n := len(g.server.times()); n != 4 {
			t.Errorf("%d sent after a person asked", n)
		}
		pass(30 * time.Hour)
		if n := len(g.server.times()); n != 6 {
			t.Errorf("%d sent", n)
		}
		if s := g.runner.Status(); s.State != Idle || s.Err != nil {
			t.Errorf("status %+v", s)
		}
		stop()
	})
}

// A message to more recipients than the provider takes leaves in parts, to each once, and is
// one message in the queue.
func TestAMessageInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.restart(Account{Limits: plan.Limits{Recipients: 100}})
		want := map[string]int{}
		var to []string
		for n := range 250 {
			to = append(to, fmt.Sprint("r", n))
			want[to[n]] = 1
		}
		g.submit(to...)
		stop := g.serve()
		pass(time.Minute)
		g.wantTaken(want)
		if n := len(g.server.times()); n != 3 || len(g.queue.left) != 1 || g.queue.left[0].Attempts > 3 {
			t.Errorf("%d transactions, left %d", n, len(g.queue.left))
		}
		stop()
	})
}

// A server that takes fewer is not asked for more again.
func TestLearnsHowManyRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		most, refused := 10, 0
		taken := 0
		g.server.mail = func(smtp.Envelope) smtp.Reply { taken = 0; return smtp.Reply{} }
		g.server.rcpt = func(string) smtp.Reply {
			if taken++; taken > most {
				refused++
				return smtp.Reply{Code: 452, Enhanced: "4.5.3", Text: "too many recipients"}
			}
			return smtp.Reply{}
		}
		want := map[string]int{}
		var to []string
		for n := range 40 {
			to = append(to, fmt.Sprint("r", n))
			want[to[n]] = 1
		}
		g.submit(to...)
		stop := g.serve()
		pass(time.Minute)
		g.wantTaken(want)
		if refused != 30 { // in the first transaction only
			t.Errorf("%d refused", refused)
		}
		stop()
	})
}

// What a server says of its rate makes the account slower, and costs no message anything.
func TestLearnsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		first := true
		g.server.mail = func(smtp.Envelope) smtp.Reply {
			if first {
				first = false
				return smtp.Reply{Code: 450, Enhanced: "4.7.1", Text: "too many messages, try again in 20 minutes"}
			}
			return smtp.Reply{}
		}
		for n := range 40 {
			g.submit(fmt.Sprint(n))
		}
		stop := g.serve()
		pass(19 * time.Minute)
		if m := g.queue.get(1); m.Attempts != 0 || m.State != mailstore.Waiting || g.server.sessions() != 1 {
			t.Errorf("message %+v, %d sessions", m, g.server.sessions())
		}
		pass(90 * time.Second)
		if n := len(g.server.times()); n != 15 {
			t.Errorf("%d in the first minute", n)
		}
		pass(5 * time.Minute)
		if n := len(g.server.times()); n != 40 {
			t.Errorf("%d sent", n)
		}
		stop()
	})
}
