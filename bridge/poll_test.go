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

func TestDuplicateUIDL(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	for n := range 6 {
		g.pop.add([]string{"same", "same", "other"}[n%3], testkit.Message(n))
	}
	g.want(g.poll(), 6, 0, 0, 6)
	g.want(g.poll(), 0, 0, 0, 6)
	// Another program deletes one in the middle: the rest is still known.
	g.pop.messages = append(g.pop.messages[:1], g.pop.messages[2:]...)
	g.want(g.poll(), 0, 0, 0, 5)
	g.pop.add("same", testkit.Message(6))
	g.want(g.poll(), 1, 0, 0, 6)
	g.wantMail(0, 7)
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 0, 6, 0)
}

func TestRenumbered(t *testing.T) {
	t.Parallel()
	for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepFor(30 * day)} {
		t.Run(keep.String(), func(t *testing.T) {
			g := newRig(t, keep)
			g.fill(0, 60)
			g.want(g.poll(), 60, 0, 0, 60)
			g.clock.advance(20 * day)
			for n, m := range g.pop.messages {
				m.uidl = fmt.Sprintf("new-%d", n)
			}
			g.fill(60, 62)
			g.want(g.poll(), 2, 60, 0, 62)
			g.want(g.poll(), 0, 0, 0, 62)
			g.wantMail(0, 62)
			// The age counts from the first time.
			g.clock.advance(10 * day)
			deleted := 0
			if keep != plan.KeepForever() {
				deleted = 60
			}
			g.want(g.poll(), 0, 0, deleted, 62-deleted)
		})
	}
}

// Renumbered when it was due: adopted and deleted in one session.
func TestRenumberedAndDue(t *testing.T) {
	g := newRig(t, plan.KeepFor(30*day))
	g.fill(0, 5)
	g.want(g.poll(), 5, 0, 0, 5)
	g.clock.advance(31 * day)
	for n, m := range g.pop.messages {
		m.uidl = fmt.Sprintf("new-%d", n)
	}
	g.want(g.poll(), 0, 5, 5, 0)
	g.wantMail(0, 5)
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

// A server that numbers its ids from 1 in each session uses them again for
// other messages.
func TestReusedUIDL(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	for n := range 12 {
		g.pop.add(fmt.Sprint(n%4+1), testkit.Message(n))
		if n%4 == 3 {
			g.want(g.poll(), 4, 0, 4, 0)
			g.want(g.poll(), 0, 0, 0, 0)
		}
	}
	g.wantMail(0, 12)
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

func TestIdsAreForgottenLate(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 3)
	g.poll()
	ledger := func() int {
		entries, err := g.store.Ledger(t.Context(), "home")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	days := 0
	for ; ledger() > 0 && days < 100; days++ {
		g.clock.advance(day)
		g.poll()
		g.poll()
	}
	if days < 30 || days > 35 {
		t.Errorf("forgotten after %d days", days)
	}
	g.wantMail(0, 3)
}

func TestNoUIDL(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 10)
	g.pop.add("", testkit.Message(3)) // twice the same
	g.pop.trouble = trouble{noUIDL: true}
	g.want(g.poll(), 11, 0, 0, 11)
	g.want(g.poll(), 0, 0, 0, 11)
	if c := g.pop.fetched(uidl(0)); c != 1 {
		t.Errorf("fetched %d times", c)
	}
	g.restart(plan.KeepForever())
	g.pop.messages = g.pop.messages[2:]
	g.pop.add("", testkit.Message(10))
	g.want(g.poll(), 1, 0, 0, 10)
	g.want(g.poll(), 0, 0, 0, 10)

	g.pop.add("", testkit.Message(7)) // a second copy, later
	g.want(g.poll(), 1, 0, 0, 11)
	g.want(g.poll(), 0, 0, 0, 11)

	// One day the server learns UIDL: all ids are adopted, and the policy holds.
	g.pop.change(func() { g.pop.trouble = trouble{} })
	for n, m := range g.pop.messages {
		m.uidl = fmt.Sprint("id", n)
	}
	g.restart(plan.KeepNever())
	g.want(g.poll(), 0, 11, 11, 0)
	want := []string{string(testkit.Message(3)), string(testkit.Message(7))}
	for n := range 11 {
		want = append(want, string(testkit.Message(n)))
	}
	g.wantExactly(want)
}

func TestUIDLRefusedForOnce(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 3)
	g.poll()
	g.fill(3, 6)
	g.pop.change(func() { g.pop.trouble = trouble{noUIDL: true} })
	if err := g.pollError(); !fault.Is(err, fault.Temporary) {
		t.Errorf("error %v", err)
	}
	if s := g.runner.Status(); s.State != Backoff || s.Kind != fault.Temporary || s.Hint == "" || s.LastError == "" || s.Err == nil {
		t.Errorf("status %+v", s)
	}
	g.restart(plan.KeepNever())
	g.pollError()
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.want(g.poll(), 3, 0, 3, 0)
	g.wantMail(0, 6)
}

func TestShortUIDLListing(t *testing.T) {
	g := newRig(t, plan.KeepFor(30*day))
	g.fill(0, 30)
	g.want(g.poll(), 30, 0, 0, 30)
	g.clock.advance(31 * day)
	g.pop.change(func() { g.pop.trouble = trouble{hide: 3} })
	g.want(g.poll(), 0, 0, 30, 0) // those without id were fetched and compared
	entries, err := g.store.Ledger(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Absent > 0 {
			t.Errorf("taken for absent: %+v", e)
		}
	}
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.want(g.poll(), 0, 0, 0, 0)
	g.wantMail(0, 30)
}

// What STAT counts and LIST leaves out is not absent.
func TestShortListing(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepForever())
	g.fill(0, 30)
	g.poll()
	g.pop.change(func() { g.pop.trouble = trouble{short: 10} })
	for range 40 {
		g.clock.advance(day)
		g.poll()
	}
	g.pop.change(func() { g.pop.trouble = trouble{} })
	g.want(g.poll(), 0, 0, 0, 30)
	if n := g.pop.fetched(uidl(29)); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestEmptyUIDLs(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 6)
	g.pop.messages[2].uidl, g.pop.messages[4].uidl = "", strings.Repeat("long", 100)
	g.want(g.poll(), 6, 0, 6, 0)
	g.wantMail(0, 6)
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
