package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.submit("b@example.com")
		stop := g.serve()
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1})
		if err := g.runner.Serve(t.Context()); !fault.Is(err, fault.Conflict) {
			t.Errorf("served twice: %v", err)
		}
		g.submit("c@example.com", "d@example.com")
		g.queue.submit("work", "x@example.org", sample(2), "y@example.com") // of another account
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1, "d@example.com": 1})
		if s := g.runner.Status(); s.State != Idle || s.Err != nil || !s.LastSent.Equal(time.Now()) || !s.Next.IsZero() || s.Waiting != 0 {
			t.Errorf("status %+v", s)
		}
		if len(g.queue.left) != 2 || len(g.queue.all) != 1 {
			t.Errorf("left %v, in the queue %v", g.queue.left, g.queue.all)
		}
		if body := g.server.taken[0].body; bytes.Contains(body, []byte("hidden")) || !bytes.Contains(body, []byte("Subject: test\r\nMessage-ID")) {
			t.Errorf("sent %q", body)
		}
		if reports, notices := g.told(); reports+notices != 0 {
			t.Errorf("%d reports, %d notices", reports, notices)
		}
		stop()
	})
}

// What is sent from a store is in its Sent, with the Bcc that does not leave.
func TestSendsFromAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStoreQueue(t, time.Now)
		g := newRigWith(t, store)
		stop := g.serve()
		g.submit("b@example.com", "hidden@example.org")
		pass(time.Minute)
		stop()
		g.wantTaken(map[string]int{"b@example.com": 1, "hidden@example.org": 1})
		for name, want := range map[string]int{"Outbox": 0, "Sent": 1} {
			mailbox, err := store.Mailbox(t.Context(), name)
			if err != nil || int(mailbox.Messages) != want {
				t.Errorf("%s: %+v, error %v", name, mailbox, err)
			}
		}
		sent, err := store.Mailbox(t.Context(), "Sent")
		if err != nil || sent.Size != int64(len(sample(1))) || len(g.server.taken[0].body) >= len(sample(1)) {
			t.Errorf("Sent %+v, error %v, and %d bytes left", sent, err, len(g.server.taken[0].body))
		}
	})
}

// A message that may be taken back waits, and is sent when its time has come.
func TestWaitsForNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		stop := g.serve()
		id := g.submit("b@example.com")
		g.queue.change(id, func(m *mailstore.Outgoing) { m.NotBefore = time.Now().Add(10 * time.Second) })
		synctest.Wait()
		if s := g.runner.Status(); s.State != Waiting || !s.Next.Equal(time.Now().Add(10*time.Second)) || s.Waiting != 1 {
			t.Errorf("status %+v", s)
		}
		other := g.submit("c@example.com")
		g.queue.change(other, func(m *mailstore.Outgoing) { m.NotBefore = time.Now().Add(10 * time.Second) })
		pass(9 * time.Second)
		g.queue.drop(other) // taken back
		g.wantTaken(map[string]int{})
		pass(time.Second)
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1})
		stop()
	})
}

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

// A connection that is lost before anything was said about a message costs nothing
// where the session was idle: the server had ended it.
func TestIdleSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.restart(Account{PerMinute: 1})
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
		if s := g.runner.Status(); s.State != Paused || s.Kind != fault.Auth || s.Next.Sub(time.Now()) < 50*time.Minute {
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
		if s := g.runner.Status(); s.Next.Sub(time.Now()) > 2*time.Minute {
			t.Errorf("another secret is tried as rarely as the one before: %+v", s)
		}
		g.secret.Store("other")
		pass(time.Minute + time.Second)
		g.wantTaken(map[string]int{"b@example.com": 1})
		stop()
	})
}

// A new sign-in is tried at once; a wake-up alone tries a refused one every 15 minutes
// at most.
func TestWakeAfterRefusedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.password = "other"
		g.submit("b@example.com")
		stop := g.serve()
		pass(10 * time.Minute)
		for range 60 {
			g.runner.Wake()
			pass(time.Minute)
		}
		if n := g.server.logins; n < 6 || n > 8 {
			t.Errorf("%d logins", n)
		}
		g.secret.Store("other")
		g.runner.Wake()
		synctest.Wait()
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
		stop()
	})
}

// Whatever befalls one message, the others leave at once.
func TestOneMessageDelaysNoOther(t *testing.T) {
	bad := func(e smtp.Envelope) bool { return e.To[0] == "bad@example.com" }
	busy := smtp.Reply{Code: 451, Text: "later"}
	closing := smtp.Reply{Code: 421, Text: "closing"}
	only := func(r smtp.Reply) func(smtp.Envelope) smtp.Reply {
		return func(e smtp.Envelope) smtp.Reply {
			if bad(e) {
				return r
			}
			return smtp.Reply{}
		}
	}
	rcpt := func(r smtp.Reply) func(string) smtp.Reply {
		return func(a string) smtp.Reply {
			if a == "bad@example.com" {
				return r
			}
			return smtp.Reply{}
		}
	}
	atDot := func(d dot) func(smtp.Envelope) dot {
		return func(e smtp.Envelope) dot {
			if bad(e) {
				return d
			}
			return dot{}
		}
	}
	for name, script := range map[string]func(*rig){
		"MAIL put off":      func(g *rig) { g.server.mail = only(busy) },
		"MAIL cut":          func(g *rig) { g.server.mail = only(cut) },
		"MAIL closing":      func(g *rig) { g.server.mail = only(closing) },
		"MAIL refused":      func(g *rig) { g.server.mail = only(smtp.Reply{Code: 550, Text: "no"}) },
		"RCPT put off":      func(g *rig) { g.server.rcpt = rcpt(busy) },
		"RCPT cut":          func(g *rig) { g.server.rcpt = rcpt(cut) },
		"RCPT closing":      func(g *rig) { g.server.rcpt = rcpt(closing) },
		"RCPT refused":      func(g *rig) { g.server.rcpt = rcpt(smtp.Reply{Code: 550, Text: "no"}) },
		"DATA put off":      func(g *rig) { g.server.data = only(busy) },
		"DATA cut":          func(g *rig) { g.server.data = only(cut) },
		"DATA refused":      func(g *rig) { g.server.data = only(smtp.Reply{Code: 554, Text: "no"}) },
		"dot put off":       func(g *rig) { g.server.dot = atDot(dot{reply: busy}) },
		"dot closing":       func(g *rig) { g.server.dot = atDot(dot{reply: closing}) },
		"dot refused":       func(g *rig) { g.server.dot = atDot(dot{reply: smtp.Reply{Code: 554, Text: "no"}}) },
		"dot cut":           func(g *rig) { g.server.dot = atDot(dot{cut: true}) },
		"file not readable": func(g *rig) { g.queue.unreadable = map[mailstore.OutgoingID]bool{1: true} },
		"file gone":         func(g *rig) { delete(g.queue.bodies, 1) },
		"too large": func(g *rig) {
			g.server.ext.Size = 1 << 20
			g.queue.change(1, func(m *mailstore.Outgoing) { m.Size = 2 << 20 })
		},
		"8-bit": func(g *rig) { g.queue.change(1, func(m *mailstore.Outgoing) { m.EightBit = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				g.submit("bad@example.com")
				script(g)
				for n := range 5 {
					g.submit(fmt.Sprint(n))
				}
				stop := g.serve()
				synctest.Wait()
				want := map[string]int{"0": 1, "1": 1, "2": 1, "3": 1, "4": 1}
				if name == "dot cut" {
					want["bad@example.com"] = 1
				}
				g.wantTaken(want)
				pass(7 * 24 * time.Hour)
				g.wantTaken(want)
				reports, _ := g.told()
				m := g.queue.get(1)
				switch {
				case name == "dot cut":
					if m.State != mailstore.Unknown || reports != 0 {
						t.Errorf("message %+v, %d reports", m, reports)
					}
				case strings.HasPrefix(name, "file"):
					if m.State != mailstore.Waiting || m.Attempts != 0 || m.LastError == "" {
						t.Errorf("message %+v", m)
					}
				case m.State != mailstore.Rejected || reports != 1 || m.LastError == "":
					t.Errorf("message %+v, %d reports", m, reports)
				}
				stop()
			})
		})
	}
}

// One recipient that is put off is tried again alone.
func TestOneRecipientIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		var greylisted atomic.Bool
		greylisted.Store(true)
		g.server.rcpt = func(a string) smtp.Reply {
			switch {
			case a == "grey" && greylisted.Load():
				return smtp.Reply{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}
			case a == "gone":
				return smtp.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}
			}
			return smtp.Reply{}
		}
		id := g.submit("b", "grey", "gone", "c")
		stop := g.serve()
		pass(time.Second)
		g.wantTaken(map[string]int{"b": 1, "c": 1})
		if m := g.queue.get(id); m.State != mailstore.Waiting || m.Recipients[1].Reply != "451 4.7.1 greylisted" || !strings.Contains(m.LastError, "grey: the server answered 451") {
			t.Errorf("message %+v", m)
		}
		if reports, _ := g.told(); reports != 1 { // about the one that is refused, at once
			t.Errorf("%d reports", reports)
		}
		greylisted.Store(false)
		pass(2 * time.Minute)
		g.wantTaken(map[string]int{"b": 1, "c": 1, "grey": 1})
		if m := g.queue.get(id); m.State != mailstore.Rejected {
			t.Errorf("message %+v", m)
		}
		stop()
	})
}

// More recipients than a server takes at a time go out one transaction behind the
// other.
func TestManyRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		taken := 0
		g.server.mail = func(smtp.Envelope) smtp.Reply { taken = 0; return smtp.Reply{} }
		g.server.rcpt = func(string) smtp.Reply {
			if taken++; taken > 40 {
				return smtp.Reply{Code: 452, Enhanced: "4.5.3", Text: "too many recipients"}
			}
			return smtp.Reply{}
		}
		want := make(map[string]int)
		var to []string
		for n := range 250 {
			to = append(to, fmt.Sprint(n))
			want[fmt.Sprint(n)] = 1
		}
		g.submit(to...)
		stop := g.serve()
		synctest.Wait()
		g.wantTaken(want)
		if n := len(g.server.taken); n != 7 {
			t.Errorf("%d transactions", n)
		}
		stop()
	})
}

// A server that puts everything off is not asked about each message in turn.
func TestServerThatTakesNothing(t *testing.T) {
	for name, script := range map[string]func(*provider){
		"cut":        func(p *provider) { p.mail = func(smtp.Envelope) smtp.Reply { return cut } },
		"put off":    func(p *provider) { p.mail = func(smtp.Envelope) smtp.Reply { return smtp.Reply{Code: 451} } },
		"no answers": func(p *provider) { p.dot = func(smtp.Envelope) dot { return dot{lost: true} } },
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
	for _, call := range []string{"Outgoing", "OpenOutgoing", "BeginHandover", "Attempted"} {
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

// A notice comes once, when a message was tried for an hour.
func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.rcpt = func(string) smtp.Reply { return smtp.Reply{Code: 451, Text: "greylisted"} }
		g.submit("b")
		stop := g.serve()
		pass(time.Hour)
		if _, notices := g.told(); notices != 0 {
			t.Error("a notice within the hour")
		}
		pass(30 * time.Minute)
		stop()
		g.restart(Account{})
		stop = g.serve()
		pass(24 * time.Hour)
		if reports, notices := g.told(); notices != 1 || reports != 0 || !bytes.Contains(g.notices[0], []byte("greylisted")) || !bytes.Contains(g.notices[0], []byte("Action: delayed")) {
			t.Errorf("%d notices, %d reports: %q", notices, reports, g.notices)
		}
		stop()
	})
}

// No one is told about a message without a sender.
func TestNoReportWithoutSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.rcpt = func(string) smtp.Reply { return smtp.Reply{Code: 550, Text: "no"} }
		g.queue.submit("home", "", sample(1), "b")
		stop := g.serve()
		synctest.Wait()
		if reports, _ := g.told(); reports != 0 || g.queue.get(1).State != mailstore.Rejected {
			t.Errorf("%d reports, message %+v", reports, g.queue.get(1))
		}
		stop()
	})
}

// A report that cannot be delivered keeps nothing from leaving.
func TestReportFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.reportErr = errors.New("no INBOX")
		g.server.rcpt = func(a string) smtp.Reply {
			if a == "b" {
				return smtp.Reply{Code: 550, Text: "no"}
			}
			return smtp.Reply{}
		}
		g.submit("b")
		g.submit("c")
		stop := g.serve()
		synctest.Wait()
		g.wantTaken(map[string]int{"c": 1})
		stop()
	})
}
