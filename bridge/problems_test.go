package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// The connection is cut in the middle of each RETR in turn, at various places.
func TestCutInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepNever()} {
		for _, n := range []int{1, 7, 20} {
			for _, after := range []int{0, 5, 200} {
				t.Run(fmt.Sprintf("%v/%d/%d", keep, n, after), func(t *testing.T) {
					g := newRig(t, keep)
					g.fill(0, 20)
					g.pop.change(func() { g.pop.trouble = trouble{cutRetr: n, cutAfter: after} })
					g.pop.trouble.retr = func(int) { g.pop.change(func() { g.pop.trouble = trouble{} }) }
					result := g.poll()
					if result.Stored != 20 || result.Sessions != 2 {
						t.Errorf("result %+v", result)
					}
					g.wantMail(0, 20)
					if left := g.pop.count(); keep == plan.KeepNever() && left != 0 {
						t.Errorf("%d left on the server", left)
					}
				})
			}
		}
	}
}

// Every session is cut after one message: each brings one.
func TestCutEverySession(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 12)
	g.pop.trouble = trouble{cutRetr: 2, cutAfter: 100}
	g.runner.Poll(t.Context(), nil)
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.clock.advance(day)
	g.poll()
	g.wantMail(0, 12)
	if left := g.pop.count(); left != 0 {
		t.Errorf("%d left on the server", left)
	}
}

// One message loses the connection whenever it is asked for. The others come,
// and it does not stop the account.
func TestMessageThatCuts(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 10)
	g.pop.messages[4].cut = true
	result := g.poll()
	if result.Stored != 9 || result.Failed != 1 {
		t.Errorf("result %+v", result)
	}
	s := g.runner.Status()
	if len(s.Problems) != 1 || s.Problems[0].UIDL != uidl(4) || !s.Problems[0].NextTry.After(g.clock.now()) {
		t.Errorf("problems %+v", s.Problems)
	}
	if first, last := slices.Index(g.pop.order, uidl(9)), lastIndex(g.pop.order, uidl(4)); last < first {
		t.Errorf("not tried last: %v", g.pop.order)
	}
	tries := g.pop.fetched(uidl(4))
	g.scheduled()
	if again := g.pop.fetched(uidl(4)); again != tries {
		t.Errorf("tried %d times at once", again)
	}
	g.clock.advance(time.Hour)
	g.pop.messages[4].cut = false
	g.want(g.poll(), 1, 0, 0, 10)
	g.wantMail(0, 10)
	if s := g.runner.Status(); len(s.Problems) != 0 {
		t.Errorf("problems %+v", s.Problems)
	}
}

func lastIndex(list []string, s string) int {
	for i, e := range slices.Backward(list) {
		if e == s {
			return i
		}
	}
	return -1
}

func TestPoison(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 30)
	g.pop.messages[0].err = "-ERR Message can not load"
	g.pop.messages[9].void = true
	g.pop.messages[29].err = "-ERR [SYS/TEMP] try again later"
	result := g.poll()
	if result.Stored != 27 || result.Deleted != 0 || result.Failed != 3 { // no QUIT after the empty one
		t.Errorf("result %+v", result)
	}
	problems := g.runner.Status().Problems
	if len(problems) != 3 {
		t.Fatalf("problems %+v", problems)
	}
	for _, p := range problems {
		if p.Attempts != 1 || p.NextTry.Sub(g.clock.now()) < 14*time.Minute || p.Reason == "" {
			t.Errorf("problem %+v", p)
		}
	}
	if !strings.Contains(problems[0].Reason, "Message can not load") {
		t.Errorf("reason %q", problems[0].Reason)
	}
	g.want(g.scheduled(), 0, 0, 27, 3)
	if c := g.pop.fetched(uidl(0)); c != 1 {
		t.Errorf("tried %d times without a pause", c)
	}
	g.clock.advance(16 * time.Minute)
	g.pop.messages[0].err, g.pop.messages[1].void = "", false
	if result := g.poll(); result.Stored != 2 || result.Failed != 1 {
		t.Errorf("result %+v", result)
	}
	if p := g.runner.Status().Problems; p[0].Attempts != 2 || p[0].NextTry.Sub(g.clock.now()) < 29*time.Minute {
		t.Errorf("problems %+v", p)
	}
	g.clock.advance(time.Hour)
	g.pop.messages[0].err = ""
	g.want(g.poll(), 1, 0, 1, 0)
	g.wantMail(0, 30)
}

func TestTooLarge(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.runner.account.Server.MaxMessage = 10_000
	big := []byte(strings.Repeat("x: 0123456789\r\n", 1000))
	g.fill(0, 2)
	for n := range g.pop.messages {
		g.pop.messages[n].data = g.pop.messages[n].data[:min(9000, len(g.pop.messages[n].data))]
	}
	g.pop.add("announced", big)
	g.pop.add("not announced", big).size = 100
	g.pop.add("last", testkit.Message(2)[:100])
	// Who asks gets the others deleted in a second session, each time.
	if result := g.poll(); result.Stored != 3 || result.Failed != 2 || result.Deleted != 3 || result.Sessions != 2 {
		t.Errorf("result %+v", result)
	}
	g.pop.add("one more", testkit.Message(3)[:100])
	if result := g.poll(); result.Stored != 1 || result.Failed != 2 || result.Deleted != 1 {
		t.Errorf("once more: %+v", result)
	}
	g.want(g.scheduled(), 0, 0, 0, 2)
}

// A server that loses every connection is not connected to for ever.
func TestEveryMessageCuts(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 9)
	for _, m := range g.pop.messages {
		m.cut = true
	}
	if result, err := g.runner.Poll(t.Context(), nil); !fault.Is(err, fault.Temporary) || result.Sessions != maxIdleRetries+1 {
		t.Errorf("result %+v, error %v", result, err)
	}
}

func TestProblemEndsWithItsMessage(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 2)
	g.pop.messages[1].err = "-ERR no"
	g.poll()
	if p := g.runner.Status().Problems; len(p) != 1 {
		t.Fatalf("problems %+v", p)
	}
	g.pop.messages = g.pop.messages[:1]
	g.poll()
	if p := g.runner.Status().Problems; len(p) != 0 {
		t.Errorf("problems %+v", p)
	}
}
