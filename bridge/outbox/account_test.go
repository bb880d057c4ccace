package outbox

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestOfflineCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.down = func() error { return fault.New(fault.Temporary, "no route to host", "check the network") }
		id := g.submit("b@example.com")
		stop := g.serve()
		pass(6 * 24 * time.Hour)
		if m := g.queue.get(id); m.Attempts != 0 || !m.FirstTry.IsZero() || m.State != mailstore.Waiting {
			t.Errorf("message %+v", m)
		}
		if s := g.runner.Status(); s.State != Paused || s.Err == nil || s.LastError != "no route to host" || s.Hint != "check the network" || s.Kind != fault.Temporary || s.Next.Before(time.Now()) || s.Waiting != 1 {
			t.Errorf("status %+v", s)
		}
		if n := len(g.server.dials); n < 200 || n > 350 {
			t.Errorf("%d tries in six days", n)
		}
		if reports, notices := g.told(); reports+notices != 0 {
			t.Errorf("%d reports, %d notices", reports, notices)
		}
		pass(time.Minute)
		g.server.change(func() { g.server.down = nil })
		g.runner.Wake()
		pass(6 * time.Second)
		g.wantTaken(map[string]int{"b@example.com": 1})
		if s := g.runner.Status(); s.State != Idle || s.Err != nil {
			t.Errorf("status %+v", s)
		}
		stop()
	})
}

// A way out that is closed while mail is fetched, a port that is blocked say, is told of
// after an hour, and once; also where the program is started again and again.
func TestOnlyTheWayOutIsClosed(t *testing.T) {
	for name, restarts := range map[string]bool{"runs": false, "restarts": true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.down = func() error { return fault.New(fault.Temporary, "i/o timeout", "") }
			id := g.submit("b")
			stop := g.serve()
			for n := range 300 {
				pass(10 * time.Minute)
				if restarts && n%3 == 2 {
					stop()
					g.restart(Account{})
					stop = g.serve()
					pass(time.Minute)
				}
				g.runner.Wake()
				if _, notices := g.told(); notices > 0 && n < 5 {
					t.Fatalf("%s: told within the hour", name)
				}
			}
			pass(time.Minute)
			if _, notices := g.told(); notices != 1 {
				t.Errorf("%s: %d notices", name, notices)
			}
			g.queue.drop(id)
			pass(time.Minute)
			g.submit("c")
			pass(30 * time.Minute)
			if _, notices := g.told(); notices != 1 {
				t.Errorf("%s: %d notices of the next message at once", name, notices)
			}
			for range 8 {
				pass(10 * time.Minute)
				g.runner.Wake()
			}
			pass(time.Minute)
			if _, notices := g.told(); notices != 2 {
				t.Errorf("%s: %d notices in the end", name, notices)
			}
			for _, notice := range g.notices { // what kept the account is no try of the message
				if text := string(notice); !strings.Contains(text, "\r\nAll mail of account home waits, since ") || strings.Contains(text, "The last try") || strings.Contains(text, "Last-Attempt-Date") {
					t.Errorf("%s: %s", name, text)
				}
			}
			stop()
		})
	}
}

// A connection that is lost before anything was said about a message costs nothing
// where the session was idle: the server had ended it.
func TestIdleSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.restart(Account{Limits: plan.Limits{PerMinute: 1}})
		calls := 0
		g.server.mail = func(smtp.Envelope) smtp.Reply {
			if calls++; calls == 2 {
				return smtp.Reply{Code: 421, Text: "idle for too long"}
			}
			return smtp.Reply{}
		}
		g.submit("b@example.com")
		id := g.submit("c@example.com")
		stop := g.serve()
		pass(61 * time.Second)
		if m := g.queue.get(id); m.Attempts != 0 || m.LastError != "" {
			t.Errorf("message %+v", m)
		}
		pass(2 * time.Minute)
		g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1})
		if len(g.server.dials) != 2 {
			t.Errorf("%d sessions", len(g.server.dials))
		}
		stop()
	})
}

func TestRefusedLoginPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.restart(Account{SecretEvery: time.Minute})
		g.server.password = "other"
		id := g.submit("b@example.com")
		stop := g.serve()
		pass(5 * time.Minute)
		if g.server.logins != 3 {
			t.Errorf("%d logins in five minutes", g.server.logins)
		}
		if s := g.runner.Status(); s.State != Paused || s.Kind != fault.Auth || time.Until(s.Next) < 50*time.Minute {
			t.Errorf("status %+v", s)
		}
		pass(48 * time.Hour)
		if n := g.server.logins; n < 7 || n > 9 {
			t.Errorf("%d logins in two days", n)
		}
		if m := g.queue.get(id); m.Attempts != 0 {
			t.Errorf("message %+v", m)
		}
		if reports, notices := g.told(); reports != 0 || notices != 1 {
			t.Errorf("%d reports, %d notices", reports, notices)
		}
		g.secret.Store("wrong")
		pass(2 * time.Minute)
		if s := g.runner.Status(); time.Until(s.Next) > 2*time.Minute {
			t.Errorf("another secret is tried as rarely as the one before: %+v", s)
		}
		g.secret.Store("other")
		pass(time.Minute + time.Second)
		g.wantTaken(map[string]int{"b@example.com": 1})
		stop()
	})
}

func TestQuotaHoldsTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		limit := smtp.Reply{Code: 550, Enhanced: "5.4.5", Text: "Daily user sending limit exceeded"}
		g.server.dot = func(smtp.Envelope) dot { return dot{reply: limit} }
		first := g.submit("b@example.com")
		g.submit("c@example.com")
		stop := g.serve()
		pass(23 * time.Hour)
		g.runner.Wake()
		synctest.Wait()
		if s := g.runner.Status(); s.State != Paused || !strings.Contains(s.LastError, "Daily user") || s.Hint == "" || s.Waiting != 2 || len(g.server.dials) != 1 {
			t.Errorf("status %+v, %d sessions", s, len(g.server.dials))
		}
		if m := g.queue.get(first); m.Attempts != 0 || m.State != mailstore.Waiting {
			t.Errorf("message %+v", m)
		}
		if _, notices := g.told(); notices != 1 {
			t.Errorf("%d notices", notices)
		}
		g.server.change(func() { g.server.dot = nil })
		g.runner.Retry()
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1})
		g.server.change(func() { g.server.dot = func(smtp.Envelope) dot { return dot{reply: limit} } })
		g.submit("d@example.com")
		pass(2 * time.Hour)
		if _, notices := g.told(); notices != 2 {
			t.Errorf("%d notices after it happened again", notices)
		}
		stop()
	})
}

// Who cannot send for an hour because the server asks to come back later, reads of it.
func TestBusyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.mail = func(smtp.Envelope) smtp.Reply {
			return smtp.Reply{Code: 432, Enhanced: "4.3.2", Text: "concurrent connections"}
		}
		id := g.submit("b@example.com")
		stop := g.serve()
		pass(24 * time.Hour)
		if _, notices := g.told(); notices != 1 || len(g.server.dials) > 60 {
			t.Errorf("%d notices, %d sessions", notices, len(g.server.dials))
		}
		if s, m := g.runner.Status(), g.queue.get(id); s.State != Paused || !strings.Contains(s.LastError, "432 4.3.2 concurrent connections") || m.Attempts != 0 {
			t.Errorf("status %+v, message %+v", s, m)
		}
		stop()
	})
}

// A server that puts everything off is not asked about each message in turn.
func TestServerThatTakesNothing(t *testing.T) {
	for name, script := range map[string]func(*provider){
		"cut":     func(p *provider) { p.mail = func(smtp.Envelope) smtp.Reply { return cut } },
		"put off": func(p *provider) { p.mail = func(smtp.Envelope) smtp.Reply { return smtp.Reply{Code: 451} } },
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			tried := 0
			g.server.step = func(step string) {
				if step == "mail" {
					tried++
				}
			}
			script(g.server)
			for n := range 100 {
				g.submit(fmt.Sprint(n))
			}
			stop := g.serve()
			pass(time.Hour)
			if tried < 5 || tried > 10 {
				t.Errorf("%s: %d messages tried in an hour", name, tried)
			}
			if s := g.runner.Status(); s.State != Paused || s.Err == nil || s.Hint == "" {
				t.Errorf("%s: status %+v", name, s)
			}
			stop()
		})
	}
}

// Where something keeps every answer to a final dot back, each message that is tried is one
// of which a person has to find out whether it was sent: so few are, also over restarts, where
// the network comes and goes, and while the person decides.
func TestEachAnswerIsLost(t *testing.T) {
	for name, restarts := range map[string]bool{"runs": false, "restarts": true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.dot = func(smtp.Envelope) dot { return dot{cut: true} }
			g.server.rcpt = func(address string) smtp.Reply {
				if address == "nobody" {
					return smtp.Reply{Code: 550, Text: "no such user"}
				}
				return smtp.Reply{}
			}
			ids := []mailstore.OutgoingID{g.submit("first"), g.submit("nobody")}
			for n := range 20 {
				ids = append(ids, g.submit(fmt.Sprint(n)))
			}
			stop := g.serve()
			for range 4 * 24 {
				pass(15 * time.Minute)
				for _, id := range ids {
					if g.queue.get(id).State == mailstore.Unknown {
						g.queue.confirm(id)
					}
				}
				if restarts {
					stop()
					g.restart(Account{})
					stop = g.serve()
				}
				g.runner.Wake()
			}
			pass(time.Minute)
			if n := len(g.server.count()); n < 5 || n > 7 || len(g.doubts) != n {
				t.Errorf("%s: %d handed over in a day, of %d in doubt a person was told", name, n, len(g.doubts))
			}
			if _, notices := g.told(); notices != 1 {
				t.Errorf("%s: %d notices", name, notices)
			}
			if s := g.runner.Status(); s.State != Paused || s.Err == nil || !strings.Contains(s.LastError, "no answer came") || !strings.Contains(s.Hint, "virus scanner") {
				t.Errorf("%s: status %+v", name, s)
			}
			g.server.change(func() { g.server.dot = nil })
			g.runner.Retry()
			pass(2 * time.Minute)
			if n := len(g.server.count()); n != 21 {
				t.Errorf("%s: %d sent", name, n)
			}
			if s := g.runner.Status(); s.Err != nil {
				t.Errorf("%s: status %+v", name, s)
			}
			stop()
		})
	}
}
