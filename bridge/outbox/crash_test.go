package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit/rounds"
)

var errPowerCut = errors.New("power cut")

// powerCut ends a runner at the n-th step, as a crash of the program does: nothing
// that comes after it happens.
type powerCut struct {
	steps  int    // so far
	at     int    // 0: never
	before string // or at the step of this name
	name   string
}

func (c *powerCut) step(name string) {
	if c.steps++; c.steps == c.at || name == c.before {
		c.name = name
		panic(errPowerCut)
	}
}

// serveUntil runs Serve for a time, or until the power is cut.
func (g *rig) serveUntil(c *powerCut, d time.Duration) {
	*g.store.set() = hooks{before: func(call string) { c.step("before " + call) }, after: func(call string) { c.step("after " + call) }}
	g.server.change(func() { g.server.step = c.step })
	ctx, cancel := context.WithTimeout(g.t.Context(), d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil && r != errPowerCut {
				panic(r)
			}
		}()
		if err := g.runner.Serve(ctx); err != nil {
			g.t.Error(err)
		}
	}()
	<-done
	g.store.reopen()
}

// A crash at every step loses nothing and sends nothing twice: what was at the final
// dot is in doubt, and stays here.
func TestCrashAtEveryStep(t *testing.T) {
	crashAtSteps(t, 1, func(t *testing.T) *rig { return newRig(t) })
}

// The same with the store as it is on the disk, at some of the steps.
func TestCrashWithAStore(t *testing.T) {
	crashAtSteps(t, 5, func(t *testing.T) *rig { return newRigWith(t, newStoreQueue(t, time.Now)) })
}

func crashAtSteps(t *testing.T, every int, newRig func(*testing.T) *rig) {
	const grey, gone = "grey", "gone"
	doubts := make(map[string]bool) // steps at which something was left in doubt
	for at := 1; ; at += every {
		finished := false
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			greylisted := make(map[string]bool)
			g.server.rcpt = func(a string) smtp.Reply {
				switch {
				case strings.HasPrefix(a, gone):
					return smtp.Reply{Code: 550, Text: "no such user"}
				case strings.HasPrefix(a, grey) && !greylisted[a]:
					greylisted[a] = true
					return smtp.Reply{Code: 451, Text: "greylisted"}
				}
				return smtp.Reply{}
			}
			for n := range 3 {
				g.submit(fmt.Sprint("ok", n), fmt.Sprint(grey, n), fmt.Sprint(gone, n))
			}
			cut := &powerCut{at: at}
			g.serveUntil(cut, 10*time.Minute)
			finished = cut.name == ""
			g.restart(Account{})
			g.serveUntil(&powerCut{}, 24*time.Hour)
			taken := g.server.count()
			for n := range 3 {
				m := g.store.get(mailstore.OutgoingID(n + 1))
				if m.State == mailstore.Unknown {
					doubts[cut.name] = true
				}
				for _, a := range []string{fmt.Sprint("ok", n), fmt.Sprint(grey, n)} {
					if c := taken[a]; c > 1 || c == 0 && m.State != mailstore.Unknown {
						t.Errorf("%s (%d): %s was sent %d times, its message is %+v", cut.name, at, a, c, m)
					}
				}
				if m.State != mailstore.Unknown && m.State != mailstore.Rejected {
					t.Errorf("%s (%d): message %+v", cut.name, at, m)
				}
				if taken[fmt.Sprint(gone, n)] != 0 {
					t.Error("sent to who was refused")
				}
				// A cut between a report and the note of it has it repeated.
				if told := g.reportsOn(fmt.Sprint(gone, n)); m.State == mailstore.Rejected && (told == 0 || told > 1 && cut.name != "before SetSendingMemory") {
					t.Errorf("%s (%d): told %d times of who was refused", cut.name, at, told)
				}
			}
			g.confirmed(fmt.Sprintf("%s (%d)", cut.name, at))
		})
		if finished {
			if at < 40 {
				t.Errorf("only %d steps", at)
			}
			break
		}
	}
	for _, name := range []string{"after BeginHandover", "dot", "taken", "before Attempted"} {
		if !doubts[name] && every == 1 {
			t.Errorf("nothing in doubt after a crash %s", name)
		}
		delete(doubts, name)
	}
	if len(doubts) > 0 {
		t.Errorf("in doubt without need: %v", doubts)
	}
}

// TestTroubledWeek lets mail leave by a server that goes down, refuses logins,
// stalls, cuts and answers late, while the program crashes, a person drops and retries
// messages, and the store fails. Whatever comes, each recipient's message is taken
// once at most, but for those that a person has sent again; nothing is lost.
func TestTroubledWeek(t *testing.T) {
	for seed := range uint64(rounds.Of(20, 100)) {
		synctest.Test(t, func(t *testing.T) { newTrouble(newRig(t), seed).run() })
	}
}

// The same with a store on the disk.
func TestTroubledWeekWithAStore(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) { newTrouble(newRigWith(t, newStoreQueue(t, time.Now)), seed).run() })
	}
}

// trouble is a rig in which anything may go wrong.
type trouble struct {
	*rig
	seed    uint64
	rand    *rand.Rand
	to      map[mailstore.OutgoingID][]string
	again   map[mailstore.OutgoingID]bool // a person has sent it again
	dropped map[mailstore.OutgoingID]bool
	offered map[string]bool // and a person has said that it was sent
	calm    bool
}

func newTrouble(g *rig, seed uint64) *trouble {
	s := &trouble{rig: g, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)),
		to: map[mailstore.OutgoingID][]string{}, again: map[mailstore.OutgoingID]bool{}, dropped: map[mailstore.OutgoingID]bool{}, offered: map[string]bool{}}
	p := s.server
	p.down = func() error {
		if s.one(20) {
			return fault.New(fault.Temporary, "no route", "")
		}
		return nil
	}
	p.login = func() error {
		if s.one(20) {
			return fault.New(fault.Auth, "refused", "")
		}
		return nil
	}
	p.mail = func(smtp.Envelope) smtp.Reply { return s.reply(10) }
	p.rcpt = func(string) smtp.Reply { return s.reply(8) }
	p.data = func(smtp.Envelope) smtp.Reply { return s.reply(15) }
	p.body = func(smtp.Envelope) error {
		if s.one(15) {
			time.Sleep(time.Minute)
			return errCut
		}
		return nil
	}
	p.dot = func(smtp.Envelope) dot {
		d := dot{cut: s.one(15), lost: s.one(20), after: time.Duration(s.rand.IntN(3)) * time.Second}
		if s.one(8) {
			d.after = time.Duration(s.rand.IntN(600)) * time.Second
		}
		if d.reply = s.reply(10); d.reply == cut {
			d.reply = smtp.Reply{}
		}
		return d
	}
	return s
}

func (s *trouble) one(in int) bool { return !s.calm && s.rand.IntN(in) == 0 }

var replies = []smtp.Reply{
	cut, {Code: 421, Text: "closing"}, {Code: 450, Text: "busy"}, {Code: 451}, {Code: 452, Enhanced: "4.5.3"}, {Code: 432},
	{Code: 550, Enhanced: "5.1.1"}, {Code: 552}, {Code: 554, Text: "spam"}, {Code: 530}, {Code: 535}, {Code: 550, Enhanced: "5.4.5"}, {Code: 503},
}

func (s *trouble) reply(in int) smtp.Reply {
	if !s.one(in) {
		return smtp.Reply{}
	}
	return replies[s.rand.IntN(len(replies))]
}

func (s *trouble) run() {
	for day := range 7 {
		for range 4 {
			var to []string
			for n := range 1 + s.rand.IntN(3) {
				to = append(to, fmt.Sprintf("%d-%d-%d", day, len(s.to), n))
			}
			s.to[s.submit(to...)] = to
		}
		power := &powerCut{at: 1 + s.rand.IntN(300)}
		s.serveUntil(power, time.Duration(1+s.rand.IntN(24))*time.Hour)
		s.decide()
		s.check()
		s.restart(Account{})
	}
	s.calm = true
	s.serveUntil(&powerCut{}, 10*24*time.Hour)
	s.check()
	for id, to := range s.to {
		m, taken := s.store.get(id), s.server.count()
		if m.State == mailstore.Waiting || m.State == mailstore.Handing {
			s.t.Errorf("seed %d: message %+v after all is well", s.seed, m)
		}
		for i, a := range to {
			kept := s.dropped[id] || s.offered[a] || m.State == mailstore.Unknown || len(m.Recipients) > i && m.Recipients[i].State == mailstore.Refused
			if taken[a] == 0 && !kept {
				s.t.Errorf("seed %d: %s is lost: %+v", s.seed, a, m)
			}
		}
	}
}

// decide is what a person does about what is left.
func (s *trouble) decide() {
	for _, id := range slices.Sorted(maps.Keys(s.to)) {
		m := s.store.get(id)
		switch {
		case m.State == mailstore.Unknown && s.rand.IntN(2) == 0:
			s.again[m.ID] = true
			s.store.retry(m.ID)
		case m.State == mailstore.Unknown && s.rand.IntN(2) == 0:
			for _, r := range m.Recipients {
				s.offered[r.Address] = s.offered[r.Address] || r.State == mailstore.Offered
			}
			s.store.confirm(m.ID)
		case m.State == mailstore.Rejected && s.rand.IntN(2) == 0:
			s.store.retry(m.ID)
		case m.ID == 0: // it has left
		case s.rand.IntN(20) == 0:
			s.dropped[m.ID] = true
			s.store.drop(m.ID)
		}
	}
}

func (s *trouble) check() {
	taken := s.server.count()
	for id, to := range s.to {
		for _, a := range to {
			if taken[a] > 1 && !s.again[id] {
				s.t.Errorf("seed %d: %s was sent %d times: %+v", s.seed, a, taken[a], s.store.get(id))
			}
		}
	}
	if s.server.most > 1 {
		s.t.Errorf("seed %d: %d sessions at a time", s.seed, s.server.most)
	}
}
