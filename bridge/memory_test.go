package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A pause after refused passwords outlasts the program, until someone asks
// for a poll.
func TestPauseIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.poll()
		g.pop.change(func() { g.pop.password = "changed" })
		for range 3 {
			g.pollError()
		}
		before := len(g.pop.logins())
		g.restart(plan.KeepForever())
		stop := serve(t, g.runner)
		time.Sleep(24 * time.Hour)
		g.runner.Wake()
		g.runner.Resume("test")
		synctest.Wait()
		if n := len(g.pop.logins()) - before; n != 5 {
			t.Errorf("%d logins", n) // at the restart, after 2, 6 and 14 hours, and when asked
		}
		s := g.runner.Status()
		if s.State != Backoff || s.Kind != fault.Auth || s.Err == nil || s.LastError == "" || !strings.Contains(s.Hint, "popbridge sync home") {
			t.Errorf("status %+v", s)
		}
		g.pop.change(func() { g.pop.password = "secret" })
		g.poll()
		before = len(g.pop.logins())
		time.Sleep(time.Hour)
		if n := len(g.pop.logins()) - before; n < 10 {
			t.Errorf("%d polls in the hour after the pause", n)
		}
		stop()
	})
}

// gate refuses logins that come less than least after one that went through.
func gate(pop *popServer, least time.Duration, text string) (refused *int) {
	var last time.Time
	refused = new(int)
	pop.said = func(command string) {
		if command != "PASS" {
			return
		}
		pop.change(func() {
			pop.refuse = ""
			if at := time.Now(); at.Sub(last) < least {
				pop.refuse = text
				*refused++
			} else {
				last = at
			}
		})
	}
	return refused
}

// The interval a server wants is learned from its refusals, kept over a
// restart, and tried again after a while.
func TestLearnedInterval(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-ERR [LOGIN-DELAY] wait", "-ERR login too frequent"} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, plan.KeepForever())
			g.fill(0, 3)
			refused := gate(g.pop, 12*time.Minute, text)
			stop := serve(t, g.runner)
			time.Sleep(24 * time.Hour)
			first := *refused
			if first == 0 || first > 4 {
				t.Errorf("refused %d times on the first day", first)
			}
			s := g.runner.Status()
			if s.MinInterval < 12*time.Minute || s.MinInterval > 20*time.Minute || s.State != Idle {
				t.Errorf("status %+v", s)
			}
			stop()
			g.restart(plan.KeepForever())
			stop = serve(t, g.runner)
			time.Sleep(3 * 24 * time.Hour)
			if n := *refused - first; n != 0 {
				t.Errorf("refused %d times in the days after", n)
			}
			g.pop.change(func() { g.pop.said = nil })
			time.Sleep(10 * 24 * time.Hour) // the server has changed its mind
			if now := g.runner.Status().MinInterval; now >= s.MinInterval || now < s.MinInterval/2 {
				t.Errorf("%v after %v", now, s.MinInterval)
			}
			stop()
		})
	}
}

// A restart comes too soon for a server with LOGIN-DELAY, so it waits.
func TestRestartKeepsTheDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.pop.caps = append(g.pop.caps, "LOGIN-DELAY 900", "EXPIRE 7")
		g.poll()
		if s := g.runner.Status(); s.Expire != "the server keeps mail for 7 days" || s.MinInterval != 15*time.Minute {
			t.Errorf("status %+v", s)
		}
		for range 5 {
			time.Sleep(time.Minute)
			g.restart(plan.KeepForever())
			stop := serve(t, g.runner)
			synctest.Wait()
			g.runner.Wake()
			g.runner.Resume("network")
			time.Sleep(time.Second)
			if s := g.runner.Status(); s.NextPoll.Before(time.Now()) {
				t.Errorf("status %+v", s)
			}
			stop()
		}
		if n := len(g.pop.logins()); n != 1 {
			t.Errorf("%d logins", n)
		}
		stop := serve(t, g.runner)
		time.Sleep(11 * time.Minute)
		if n := len(g.pop.logins()); n != 2 {
			t.Errorf("%d logins", n)
		}
		stop()
	})
}

func TestProblemsAreRemembered(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 5)
	g.pop.messages[1].err = "-ERR \xff not now"
	g.pop.messages[3].uidl, g.pop.messages[3].err = "\x80id", "-ERR never"
	g.poll()
	before := g.runner.Status().Problems
	g.restart(plan.KeepForever())
	g.scheduled()
	after := g.runner.Status().Problems
	if len(after) != 2 || after[0].UIDL != before[0].UIDL || after[0].Attempts != 1 || after[1].NextTry.Unix() != before[1].NextTry.Unix() || after[0].Reason == "" {
		t.Errorf("problems %+v, before %+v", after, before)
	}
	if n := g.pop.fetched(uidl(1)); n != 1 {
		t.Errorf("tried %d times", n)
	}
	g.clock.advance(-1000 * day) // times that are far away mean nothing
	g.pop.messages[1].err, g.pop.messages[3].err = "", ""
	g.want(g.poll(), 2, 0, 0, 5)
}

func TestMemoryIsBounded(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 260)
	for n, m := range g.pop.messages[:250] {
		m.err = "-ERR " + strings.Repeat("no ", 100)
		m.uidl = fmt.Sprint(n, strings.Repeat("x", 200))
	}
	g.poll()
	state, err := g.store.AccountState(t.Context(), "home")
	if err != nil || len(state.Memory) > 100_000 || len(decodePollState(state.Memory).Issues) == 0 {
		t.Errorf("%d bytes, error %v", len(state.Memory), err)
	}
}

// A message whose file is damaged here is fetched again into its old place,
// and stays on the server until it is.
func TestDamagedHere(t *testing.T) {
	t.Parallel()
	for _, renumbered := range []bool{false, true} {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 4)
		g.poll()
		damage(t, g, 2)
		g.restart(plan.KeepNever())
		if renumbered {
			for n, m := range g.pop.messages {
				m.uidl = fmt.Sprint("new", n)
			}
		}
		g.pop.messages[2].err = "-ERR not now"
		adopted := map[bool]int{true: 3}[renumbered]
		if p, err := g.runner.Preview(t.Context()); err != nil || p.Fetch != 1+adopted {
			t.Errorf("preview %+v, error %v", p, err)
		}
		result := g.poll()
		if result.Deleted != 3 || g.pop.count() != 1 {
			t.Errorf("result %+v, %d left", result, g.pop.count())
		}
		g.clock.advance(time.Hour)
		g.pop.messages[0].err = ""
		g.want(g.poll(), 0, 1, 1, 0)
		g.wantMail(0, 4)
	}
}

// damage spoils the file of the n-th message of INBOX and has the store find
// out.
func damage(t *testing.T, g *rig, n int) {
	t.Helper()
	ctx := context.Background()
	inbox, err := g.store.Mailbox(ctx, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	view, err := g.store.OpenView(ctx, inbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	contents, err := g.store.Contents(ctx, view.Snapshot().Contents[n:n+1], mailstore.WantFile)
	if err != nil {
		t.Fatal(err)
	}
	file, err := g.store.OpenContent(contents[0].Hash)
	if err != nil {
		t.Fatal(err)
	}
	name := file.Name()
	if err := errors.Join(file.Close(), os.Remove(name)); err != nil {
		t.Fatal(err)
	}
	if report, err := g.store.Repair(ctx, nil); err != nil || report.Wanted != 1 {
		t.Fatalf("report %+v, error %v", report, err)
	}
}
