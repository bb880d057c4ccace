package outbox

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// confirmed has a person say of all that is in doubt that it was sent: nobody gets it
// twice then, and whom it was not offered gets it.
func (g *rig) confirmed(what string) {
	g.t.Helper()
	all, err := g.store.Outgoing(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(m mailstore.Outgoing) bool { return m.State != mailstore.Unknown })
	for _, m := range all {
		g.store.confirm(m.ID)
	}
	before := g.server.count()
	g.restart(Account{})
	g.serveUntil(&powerCut{}, 24*time.Hour)
	taken := g.server.count()
	for _, m := range all {
		now := g.store.get(m.ID)
		for i, r := range m.Recipients {
			want := before[r.Address]
			if r.State == mailstore.Pending && (now.ID == 0 || now.Recipients[i].State != mailstore.Refused) {
				want++
			}
			if taken[r.Address] != want {
				g.t.Errorf("%s: %s, state %d when it was confirmed, was sent %d times, before %d", what, r.Address, r.State, taken[r.Address], before[r.Address])
			}
		}
		if now.ID != 0 && now.State != mailstore.Rejected {
			g.t.Errorf("%s: %+v", what, now)
		}
	}
}

// A recipient that was refused for now, and one for whom there was no room in the
// transaction, get a message that a person takes for sent, after a crash and after an
// answer that was lost.
func TestWhoWasNotOfferedAMessageGetsIt(t *testing.T) {
	for name, crash := range map[string]bool{"crash": true, "answer lost": false} {
		for queue, newRig := range map[string]func(*testing.T) *rig{"memory": newRigIn, "store": newRigOnDisk} {
			t.Run(name+" "+queue, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { g := newRig(t); g.handOverInPart(crash) })
			})
		}
	}
}

func newRigIn(t *testing.T) *rig     { return newRig(t) }
func newRigOnDisk(t *testing.T) *rig { return newRigWith(t, newStoreQueue(t, time.Now)) }

func (g *rig) handOverInPart(crash bool) {
	later := true
	g.server.rcpt = func(a string) smtp.Reply {
		if a == "a0" && later {
			later = false
			return smtp.Reply{Code: 450, Text: "busy"}
		}
		return smtp.Reply{}
	}
	lose := !crash // else it does not come so far
	g.server.dot = func(smtp.Envelope) dot { defer func() { lose = false }(); return dot{cut: lose} }
	var to []string
	for i := range 101 {
		to = append(to, fmt.Sprint("a", i))
	}
	id := g.submit(to...)
	cut := &powerCut{}
	if crash {
		cut.before = "dot"
	}
	g.serveUntil(cut, time.Hour)
	m := g.store.get(id)
	if m.State != mailstore.Unknown {
		g.t.Fatalf("message %+v", m)
	}
	for i, r := range m.Recipients {
		want := mailstore.Offered
		if i == 0 || i == 100 {
			want = mailstore.Pending
		}
		if r.State != want {
			g.t.Errorf("%s has state %d, want %d", r.Address, r.State, want)
		}
	}
	g.confirmed("confirmed")
	if m := g.store.get(id); m.ID != 0 {
		g.t.Errorf("message %+v", m)
	}
	if taken := g.server.count(); taken["a0"] != 1 || taken["a100"] != 1 {
		g.t.Errorf("taken %v", taken)
	}
}
