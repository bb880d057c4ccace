package outbox

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A program that is started again and again logs in no more often than one that runs.
func TestRestartsMakeNoMoreLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.password = "other"
		g.submit("b@example.com")
		for range 120 {
			g.restart(Account{SecretEvery: time.Minute})
			stop := g.serve()
			pass(30 * time.Second)
			stop()
		}
		if n := g.server.tried(); n < 4 || n > 7 {
			t.Errorf("%d logins in an hour", n)
		}
		g.restart(Account{SecretEvery: time.Minute})
		stop := g.serve()
		synctest.Wait()
		if s := g.runner.Status(); s.State != Paused || s.Kind != fault.Auth || s.LastError == "" || time.Until(s.Next) > 15*time.Minute {
			t.Errorf("status %+v", s)
		}
		pass(25 * time.Hour)
		stop()
		before := g.server.tried()
		g.restart(Account{SecretEvery: time.Minute})
		stop = g.serve()
		pass(14 * time.Minute)
		if _, notices := g.told(); notices != 1 {
			t.Errorf("%d notices", notices)
		}
		g.secret.Store("other") // while it rests
		pass(2 * time.Minute)
		g.wantTaken(map[string]int{"b@example.com": 1})
		if g.server.tried() > before+2 {
			t.Errorf("%d logins", g.server.tried()-before)
		}
		stop()
	})
}

// Who changes the account, or asks for it, does not wait.
func TestAChangedAccountIsTriedAtOnce(t *testing.T) {
	for name, again := range map[string]func(*rig){
		"changed":  func(g *rig) { g.restart(Account{Changed: true}) },
		"asked":    func(g *rig) { g.restart(Account{}); g.runner.Retry() },
		"unusable": func(g *rig) { g.queue.memory["home"] = "{"; g.restart(Account{}) },
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.password = "other"
			g.submit("b")
			stop := g.serve()
			pass(10 * time.Minute)
			stop()
			g.restart(Account{})
			stop = g.serve()
			pass(time.Minute)
			stop()
			if g.server.tried() != 3 {
				t.Errorf("%s: %d logins", name, g.server.tried())
			}
			g.server.password = ""
			again(g)
			stop = g.serve()
			synctest.Wait()
			g.wantTaken(map[string]int{"b": 1})
			if strings.Contains(g.queue.memory["home"], "pause") {
				t.Errorf("%s: remembered %s", name, g.queue.memory["home"])
			}
			stop()
		})
	}
}

// A limit of a day holds over a restart.
func TestQuotaOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.dot = func(smtp.Envelope) dot { return dot{reply: smtp.Reply{Code: 550, Enhanced: "5.4.5", Text: "limit"}} }
		g.submit("b")
		stop := g.serve()
		pass(time.Hour)
		stop()
		g.server.dot = nil
		g.restart(Account{})
		stop = g.serve()
		pass(22 * time.Hour)
		if s := g.runner.Status(); s.State != Paused || s.LastError == "" || g.server.sessions() != 1 {
			t.Errorf("status %+v, %d sessions", s, g.server.sessions())
		}
		pass(2 * time.Hour)
		g.wantTaken(map[string]int{"b": 1})
		stop()
	})
}

// Of a message in doubt a person is told once, whether the runner or the store finds that it
// is; and again when it comes to that again.
func TestDoubtIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStoreQueue(t, time.Now)
		g := newRigWith(t, store)
		g.server.dot = func(smtp.Envelope) dot { return dot{cut: true} }
		first := g.submit("b")
		stop := g.serve()
		pass(time.Minute)
		stop()
		second := g.submit("c")
		store.must(store.Store.BeginHandover(t.Context(), second, []string{"c"}))
		store.reopen() // as after a crash at the final dot
		for range 2 {
			g.restart(Account{})
			stop = g.serve()
			pass(48 * time.Hour)
			if len(g.doubts) != 2 {
				t.Errorf("told %d times", len(g.doubts))
			}
			stop()
		}
		g.restart(Account{})
		stop = g.serve()
		g.store.retry(first)
		pass(time.Minute)
		if m := g.store.get(first); m.State != mailstore.Unknown || len(g.doubts) != 3 {
			t.Errorf("message %+v, told %d times", m, len(g.doubts))
		}
		stop()
	})
}

// What the server has announced is known again after a restart, before the first session.
func TestExtensionsOutlastARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		if e := g.runner.Extensions(); e != nil {
			t.Errorf("%+v is known of a server that nobody asked", e)
		}
		g.submit("b")
		stop := g.serve()
		pass(time.Minute)
		stop()
		g.restart(Account{})
		stop = g.serve()
		synctest.Wait()
		if e := g.runner.Extensions(); e == nil || e.Size != announcedSize {
			t.Errorf("%+v", e)
		}
		if n := g.server.sessions(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		stop()
	})
}

// A limit of the account is the reason of what is submitted while it lasts, also where
// nothing waited in between, and after a restart.
func TestTheReasonOutlastsAnEmptyQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.mail = func(smtp.Envelope) smtp.Reply { return smtp.Reply{Code: 554, Text: "Hourly sending limit reached"} }
		id := g.submit("b")
		stop := g.serve()
		pass(time.Minute)
		g.queue.drop(id)
		pass(time.Minute)
		if s := g.runner.Status(); s.LastError != "" {
			t.Errorf("with nothing to send: %+v", s)
		}
		stop()
		g.restart(Account{})
		stop = g.serve()
		pass(time.Minute)
		g.submit("c")
		pass(time.Minute)
		if s := g.runner.Status(); s.State != Paused || !strings.Contains(s.LastError, "Hourly sending limit") || s.Next.Sub(g.runner.o.Now()) > time.Hour {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// What one server has announced, taught and refused says nothing about another that takes its
// place. Whom a person was told of is no matter of the server.
func TestAnotherServerIsAnother(t *testing.T) {
	for name, tt := range map[string]struct {
		server smtp.Config
		same   bool
	}{
		"the same":     {smtp.Config{Host: "smtp.example.com", Port: 465}, true},
		"another host": {smtp.Config{Host: "smtp.example.org", Port: 465}, false},
		"another port": {smtp.Config{Host: "smtp.example.com", Port: 587}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			now := time.Now()
			kept, err := memory{
				Late: []mailstore.OutgoingID{1}, Server: &smtp.Extensions{Size: 10}, Ailing: now.Add(-2 * time.Hour),
				Pause: plan.Lasting{Trouble: plan.Quota, At: now, Until: now.Add(24 * time.Hour)}, Error: "limit",
				Hours: []plan.Hour{{Hour: now.Unix() / 3600, Messages: 1, Recipients: 1}}, Learned: plan.Learned{PerMinute: 1, At: now},
			}.encode("smtp.example.com:465")
			if err != nil {
				t.Fatal(err)
			}
			g := newRig(t)
			g.queue.memory["home"] = kept
			g.restart(Account{Server: tt.server, Limits: plan.Limits{PerDay: 2}})
			r := g.runner
			if err := r.load(t.Context()); err != nil || len(r.late) != 1 {
				t.Fatalf("%s: told of %v, error %v", name, r.late, err)
			}
			if e := r.Extensions(); (e != nil && e.Size == 10) != tt.same || (e == nil) == tt.same {
				t.Errorf("%s: announced %+v", name, e)
			}
			g.submit("b")
			g.submit("c")
			stop := g.serve()
			pass(time.Second)
			want := map[string]int{"b": 1, "c": 1}
			if tt.same {
				want = map[string]int{}
			}
			g.wantTaken(want)
			_, notices := g.told()
			if (notices == 1) != tt.same || !tt.same && r.Status().Err != nil {
				t.Errorf("%s: %d notices, %+v", name, notices, r.Status())
			}
			stop()
			if after := parseMemory(g.queue.memory["home"]); after.Address != r.address() || (after.Pause.Trouble == plan.Quota) != tt.same {
				t.Errorf("%s: remembered %+v", name, after)
			}
		})
	}
}
