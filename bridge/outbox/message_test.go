package outbox

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

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
