package outbox

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// looksLikeTheAccount are replies about the account that servers also give to one recipient.
var looksLikeTheAccount = []smtp.Reply{
	{Code: 530, Enhanced: "5.7.1", Text: "authentication required"}, {Code: 535, Enhanced: "5.7.8", Text: "no"},
	{Code: 432, Enhanced: "4.3.2", Text: "concurrent"}, {Code: 454, Enhanced: "4.7.0", Text: "temporary"}, {Code: 454, Text: "TLS"},
	{Code: 550, Enhanced: "5.4.5", Text: "limit"}, {Code: 550, Enhanced: "5.1.90", Text: "limit"},
	{Code: 554, Enhanced: "5.2.0", Text: "mailbox over quota"}, {Code: 554, Enhanced: "5.2.0", Text: "SubmissionQuotaExceeded"},
}

// One recipient, of a message with others or of one of its own, holds up no other mail, and
// who sent it is told, whatever the server says to it.
func TestOneRecipientHoldsUpNothing(t *testing.T) {
	for _, reply := range looksLikeTheAccount {
		for _, first := range [][]string{{"good", "bad"}, {"bad", "good"}, {"bad"}} {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				g.server.rcpt = func(address string) smtp.Reply {
					if address == "bad" {
						return reply
					}
					return smtp.Reply{}
				}
				g.submit(first...)
				want := map[string]int{}
				if len(first) > 1 {
					want["good"] = 1
				}
				stop := g.serve()
				pass(time.Second)
				for n := range 5 {
					g.submit(fmt.Sprint(n))
					want[fmt.Sprint(n)] = 1
				}
				pass(3 * time.Minute)
				g.wantTaken(want)
				for range 15 {
					pass(48 * time.Hour)
					g.submit("last")
					pass(time.Minute)
				}
				want["last"] = 15
				g.wantTaken(want)
				reports, _ := g.told()
				if reports != 1 || g.server.logins > 400 {
					t.Errorf("%v to %v: %d reports, %d logins", reply, first, reports, g.server.logins)
				}
				stop()
			})
		}
	}
}

// A server that wants a login at the first command of each message, although it has taken
// one, is asked as rarely as one that refuses it, and a person is told; a restart or a
// network that comes and goes change nothing.
func TestALoginThatIsWorthNothing(t *testing.T) {
	for name, restarts := range map[string]bool{"runs": false, "restarts": true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.mail = func(smtp.Envelope) smtp.Reply { return smtp.Reply{Code: 530, Enhanced: "5.7.0", Text: "log in"} }
			for n := range 6 {
				g.submit(fmt.Sprint(n))
			}
			stop := g.serve()
			for n := range 48 {
				pass(time.Hour)
				g.server.change(func() {
					g.server.down = nil
					if n%5 == 0 {
						g.server.down = func() error { return errCut }
					}
				})
				if restarts {
					stop()
					g.restart(Account{})
					stop = g.serve()
				}
			}
			pass(time.Second)
			if n := g.server.logins; n < 5 || n > 12 {
				t.Errorf("%s: %d logins in two days", name, n)
			}
			if _, notices := g.told(); notices != 1 {
				t.Errorf("%s: %d notices", name, notices)
			}
			if s := g.runner.Status(); s.State != Paused || !strings.Contains(s.LastError, "530") {
				t.Errorf("%s: status %+v", name, s)
			}
			g.server.change(func() { g.server.mail, g.server.down = nil, nil })
			g.runner.Retry()
			pass(time.Minute)
			if n := len(g.server.count()); n != 6 {
				t.Errorf("%s: %d sent", name, n)
			}
			stop()
		})
	}
}

// A message whose sender the server does not let through holds up no other one.
func TestOneSenderHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.mail = func(e smtp.Envelope) smtp.Reply {
			if e.From == "alias@example.org" {
				return smtp.Reply{Code: 530, Enhanced: "5.7.1", Text: "not as this sender"}
			}
			return smtp.Reply{}
		}
		id := g.store.submit("home", "alias@example.org", sample(1), "b")
		stop := g.serve()
		pass(24 * time.Hour)
		g.submit("c")
		pass(time.Second)
		g.wantTaken(map[string]int{"c": 1})
		for range 20 {
			pass(8 * time.Hour)
			g.submit("c")
			pass(time.Second)
		}
		g.wantTaken(map[string]int{"c": 21})
		if m := g.queue.get(id); m.State != mailstore.Rejected {
			t.Errorf("message %+v", m)
		}
		if reports, _ := g.told(); reports != 1 {
			t.Errorf("%d reports", reports)
		}
		stop()
	})
}

// A message to more recipients than a transaction takes is not tried without a pause where
// the server takes none of them: each has its turn, by the schedule, and a person is told.
func TestManyRecipientsPutOff(t *testing.T) {
	for _, n := range []int{101, 150, 950} {
		for name, whole := range map[string]bool{"each": false, "after some were taken": true} {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				asked, transactions := map[string]int{}, 0
				g.server.step = func(step string) {
					if step == "mail" {
						transactions++
					}
				}
				g.server.rcpt = func(address string) smtp.Reply {
					asked[address]++
					if whole && len(asked) < 40 {
						return smtp.Reply{}
					}
					return smtp.Reply{Code: 450, Enhanced: "4.2.1", Text: "later"}
				}
				var to []string
				for i := range n {
					to = append(to, fmt.Sprint(i))
				}
				g.submit(to...)
				stop := g.serve()
				pass(50 * time.Minute)
				if _, notices := g.told(); notices != 0 {
					t.Errorf("%d, %s: told too early", n, name)
				}
				pass(23 * time.Hour)
				if transactions < 40 || transactions > 70 {
					t.Errorf("%d, %s: %d transactions in a day", n, name, transactions)
				}
				for _, address := range to {
					if asked[address] == 0 {
						t.Errorf("%d, %s: %s was never tried", n, name, address)
					}
				}
				stop()
				g.restart(Account{})
				stop = g.serve()
				pass(24 * time.Hour)
				if _, notices := g.told(); notices != 1 {
					t.Errorf("%d, %s: %d notices", n, name, notices)
				}
				stop()
			})
		}
	}
}
