package bridge

import (
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestFirstFetchAndArrivals(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	g.fill(0, 500)
	g.want(g.poll(), 500, 0, 0, 500)
	g.wantMail(0, 500)
	if got := mail(t, g.store, "INBOX"); got[0] != string(testkit.Message(0)) || got[499] != string(testkit.Message(499)) {
		t.Error("the messages are not in the order of the server")
	}
	g.want(g.poll(), 0, 0, 0, 500)
	g.fill(500, 503)
	g.want(g.poll(), 3, 0, 0, 503)
	g.restart(plan.KeepForever())
	g.want(g.poll(), 0, 0, 0, 503)
	g.wantMail(0, 503)
	s := g.runner.Status()
	if s.State != Idle || s.Stored != 503 || s.OnServer != 503 || s.LastError != "" || s.LastSuccess.IsZero() || len(s.Problems) != 0 {
		t.Errorf("status %+v", s)
	}
	for n := range 503 {
		if c := g.pop.fetched(uidl(n)); c != 1 {
			t.Fatalf("message %d was fetched %d times", n, c)
		}
	}
}

// What is on the server is known from the listing on, not only once all of it is fetched.
func TestOnServerDuringThePoll(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	g.fill(0, 7)
	asked := 0
	if _, err := g.runner.Poll(t.Context(), func(p Progress) {
		if p.Phase != "fetching" || p.Done {
			return
		}
		asked++
		g.runner.mu.Lock() // Status waits for this function
		s := g.runner.status
		g.runner.mu.Unlock()
		if s.State != Polling || s.OnServer != 7 {
			t.Errorf("%d of %d fetched: %+v", p.Messages, p.TotalMessages, s)
		}
	}); err != nil || asked == 0 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestKeepNeverEmptiesTheServer(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepNever())
	g.fill(0, 150)
	g.want(g.poll(), 150, 0, 150, 0)
	g.wantMail(0, 150)
	g.want(g.poll(), 0, 0, 0, 0)
	g.fill(150, 160)
	g.want(g.poll(), 10, 0, 10, 0)
	g.wantMail(0, 160)
}

func TestKeepForDays(t *testing.T) {
	g := newRig(t, plan.KeepFor(30*day))
	g.fill(0, 5)
	g.want(g.poll(), 5, 0, 0, 5)
	g.clock.advance(20 * day)
	g.fill(5, 8)
	g.want(g.poll(), 3, 0, 0, 8)
	g.clock.advance(10 * day)
	g.want(g.poll(), 0, 0, 5, 3)
	g.clock.advance(20 * day)
	g.want(g.poll(), 0, 0, 3, 0)
	g.wantMail(0, 8)
}

func TestPolicyChange(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 5)
	g.want(g.poll(), 5, 0, 0, 5)
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 0, 5, 0)
	g.wantMail(0, 5)
}

func TestQuit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		quit      quitTrouble
		left      int // on the server after the first poll
		confirmed int
		later     int // deleted by the second poll
	}{
		{"cut", quitCut, 20, 0, 20},
		{"silent", quitSilent, 0, 0, 0},
		{"refused", quitERR, 20, 0, 20},
		{"lies", quitLies, 20, 20, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, plan.KeepNever())
			g.fill(0, 20)
			g.pop.trouble = trouble{quit: tt.quit}
			if got := g.poll(); got.Stored != 20 || got.Deleted != tt.confirmed || g.pop.count() != tt.left {
				t.Errorf("first poll: %+v, %d left", got, g.pop.count())
			}
			if unconfirmed := len(g.runner.Status().Problems) > 0; unconfirmed != (tt.confirmed == 0) {
				t.Errorf("problems %+v", g.runner.Status().Problems)
			}
			g.pop.change(func() { g.pop.trouble = trouble{} })
			g.restart(plan.KeepNever())
			if got := g.poll(); got.Stored != 0 || got.Deleted != tt.later || g.pop.count() != 0 {
				t.Errorf("second poll: %+v, %d left", got, g.pop.count())
			}
			g.wantMail(0, 20)
			want := 1
			if tt.left > 0 { // it may be another one with its id
				want = 2
			}
			if c := g.pop.fetched(uidl(3)); c != want {
				t.Errorf("fetched %d times", c)
			}
		})
	}
}

// The same bytes twice on the server are two messages, and stay two.
func TestSameContentTwice(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.pop.add("a", testkit.Message(1))
	g.want(g.poll(), 1, 0, 0, 1)
	g.pop.add("b", testkit.Message(1))
	g.want(g.poll(), 1, 0, 0, 2)
	g.pop.change(func() { g.pop.messages[0].uidl, g.pop.messages[1].uidl = "c", "d" })
	g.want(g.poll(), 0, 2, 0, 2)
	g.wantExactly([]string{string(testkit.Message(1)), string(testkit.Message(1))})
}

func TestSessionLimit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-ERR Download exceed. msg=7", "-ERR no more of that today"} {
		for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepNever()} {
			t.Run(text+"/"+keep.String(), func(t *testing.T) {
				g := newRig(t, keep)
				g.fill(0, 24)
				g.pop.trouble = trouble{limit: 7, limitText: text}
				result := g.poll()
				if text == "-ERR Download exceed. msg=7" && (result.Stored != 24 || result.Sessions != 4) {
					t.Errorf("result %+v", result)
				}
				if text != "-ERR Download exceed. msg=7" && (result.Stored != 21 || result.Failed != 3) {
					t.Errorf("result %+v", result)
				}
				// Of an unknown limit the last messages are taken for troubled ones.
				for range 3 {
					g.clock.advance(day)
					g.poll()
				}
				g.wantMail(0, 24)
				if left := g.pop.count(); keep == plan.KeepNever() && left != 0 {
					t.Errorf("%d left on the server", left)
				}
			})
		}
	}
}

// A server without ids that gives three messages in a session gives all of them, new
// ones first, also where each has to be compared at every poll.
func TestSessionLimitWithoutIDs(t *testing.T) {
	for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepNever()} {
		g := newRig(t, keep)
		g.pop.trouble = trouble{noUIDL: true, limit: 3, limitText: "-ERR Download exceed. msg=3"}
		g.fill(0, 10)
		g.poll()
		g.wantMail(0, 10)
		g.fill(10, 11)
		g.clock.advance(time.Hour)
		g.poll()
		g.wantMail(0, 11)
	}
}

func TestSessionLimitOfZero(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 5)
	for _, m := range g.pop.messages {
		m.err = "-ERR Download exceed. msg=0"
	}
	if result, err := g.runner.Poll(t.Context(), nil); !fault.Is(err, fault.Temporary) || result.Sessions != 1 {
		t.Errorf("result %+v, error %v", result, err)
	}
}

func TestTwoAccounts(t *testing.T) {
	t.Parallel()
	c := new(clock)
	store := openStore(t, c)
	run := func(account, folder string, from int) *popServer {
		pop := newPopServer(t)
		for n := range 100 {
			pop.add(uidl(n), testkit.Message(from+n))
		}
		return pop
	}
	type part struct{ account, folder string }
	parts := []part{{"one", "INBOX"}, {"two", "INBOX"}, {"three", "Work/Mail"}}
	errs := make(chan error, len(parts))
	for i, p := range parts {
		r := newTestRunner(run(p.account, p.folder, i*100), store, c, p.account, p.folder, plan.KeepNever())
		go func() {
			_, err := r.Poll(t.Context(), nil)
			errs <- err
		}()
	}
	for range parts {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	g := &rig{t: t, store: store}
	g.wantMail(0, 200)
	if got := mail(t, store, "Work/Mail"); len(got) != 100 {
		t.Errorf("%d messages in the other folder", len(got))
	}
}
