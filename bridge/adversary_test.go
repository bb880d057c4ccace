package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit"
)

// RFC 2449 section 6.7: with EXPIRE 0, QUIT deletes what was retrieved; Gmail
// then shows it no more. So there is no QUIT after a message that was retrieved
// and is not stored.
func TestQuitOnlyWhenAllThatCameIsStored(t *testing.T) {
	open := func(t *testing.T) *rig {
		g := newRig(t, plan.KeepForever())
		g.pop.trouble.expire = true
		g.fill(0, 30)
		return g
	}
	after := func(g *rig) {
		g.t.Helper()
		g.clock.advance(2 * day)
		g.restart(plan.KeepForever())
		g.poll()
		g.wantMail(0, 30)
	}
	t.Run("stopped", func(t *testing.T) {
		g := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		g.pop.trouble.retr = func(n int) {
			if n == 5 {
				cancel()
			}
		}
		if _, err := g.runner.Poll(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		g.pop.change(func() { g.pop.trouble.retr = nil })
		after(g)
	})
	for _, call := range []string{"spool", "deliver"} {
		t.Run("no room to "+call, func(t *testing.T) {
			g := open(t)
			faulty := &faultyStore{Store: g.store, before: func(c string) error {
				if c == call {
					return fault.New(fault.Full, "the disk is full", "")
				}
				return nil
			}}
			g.runner = newTestRunner(g.pop, faulty, g.clock, "home", "INBOX", plan.KeepForever())
			g.pollError()
			after(g)
		})
	}
	t.Run("one that the store does not take", func(t *testing.T) {
		g := open(t)
		poison := g.poisonOf(testkit.Message(7))
		faulty := &faultyStore{Store: g.store, batch: func(batch []mailstore.Delivery) error {
			for _, d := range batch {
				if d.Message.Hash() == poison {
					return errors.New("constraint failed")
				}
			}
			return nil
		}}
		g.runner = newTestRunner(g.pop, faulty, g.clock, "home", "INBOX", plan.KeepForever())
		g.poll()
		after(g)
	})
	t.Run("one that is empty for once", func(t *testing.T) {
		g := open(t)
		g.pop.messages[7].void = true
		g.poll()
		g.pop.change(func() {
			for _, m := range g.pop.messages {
				m.void = false
			}
		})
		after(g)
	})
}

// What a repair finds, or someone brings back, while a session runs counts
// before its DELE.
func TestTheLedgerIsAskedAgainBeforeDELE(t *testing.T) {
	t.Run("damaged meanwhile", func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.poll()
		g.restart(plan.KeepNever())
		g.fill(3, 4)
		g.pop.trouble.retr = func(n int) { // of message 3; the others are stored and due
			ledger, err := g.store.Ledger(t.Context(), "home")
			if err != nil || n > 1 {
				return
			}
			name := ledger[1].Hash.String()
			if err := os.Remove(filepath.Join(g.dir, "mail", name[:2], name+".eml")); err != nil {
				t.Error(err)
			}
			if _, err := g.store.Repair(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
		g.poll()
		g.pop.change(func() { g.pop.trouble = trouble{} })
		g.poll()
		g.wantMail(0, 4)
		if n := g.pop.count(); n != 0 {
			t.Errorf("%d left on the server", n)
		}
	})
	t.Run("brought back meanwhile", func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.poll()
		g.expunge(1)
		g.clock.advance(8 * day)
		g.runner.account.DeleteExpunged = true
		g.fill(3, 4)
		g.pop.trouble.retr = func(int) {
			list, err := g.store.Expunged(t.Context(), mailstore.ExpungedQuery{})
			if err != nil || len(list) != 1 {
				t.Errorf("%v, %v", list, err)
				return
			}
			if _, err := g.store.Undelete(t.Context(), []int64{list[0].ID}); err != nil {
				t.Error(err)
			}
		}
		g.poll()
		if n := g.pop.count(); n != 4 {
			t.Errorf("%d on the server", n)
		}
		g.wantMail(0, 4)
	})
}

// Some servers take the number of a message for its id. After a deletion the
// next message has the id again, and mail made by programs the size as well.
func TestAnIDUsedAgainAfterItsDeletion(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	var want []string
	for n := range 5 {
		data := sized(n, 500)
		g.pop.add("1", data)
		want = append(want, string(data))
		g.poll()
	}
	g.poll()
	g.wantExactly(want)
	if n := g.pop.count(); n != 0 {
		t.Errorf("%d left on the server", n)
	}
}

// A server that goes on listing what it has confirmed as deleted costs each
// message one more RETR, once.
func TestQuitThatLiesIsNoticedOnce(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.pop.trouble.quit = quitLies
	g.fill(0, 12)
	for range 4 {
		g.poll()
		g.clock.advance(time.Hour)
	}
	g.restart(plan.KeepNever())
	g.poll()
	g.wantMail(0, 12)
	for n := range 12 {
		if c := g.pop.fetched(uidl(n)); c != 2 {
			t.Errorf("message %d was fetched %d times", n, c)
		}
	}
}

// The computer was off for two months, and the server shows nothing for a day.
func TestAbsencesAfterALongPauseCountOnceADay(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 5)
	g.poll()
	g.clock.advance(60 * day)
	kept := g.pop.messages
	g.pop.change(func() { g.pop.messages = nil })
	for range 40 {
		g.poll()
		g.clock.advance(30 * time.Minute)
	}
	g.pop.change(func() { g.pop.messages = kept })
	g.want(g.poll(), 0, 0, 0, 5)
	g.wantMail(0, 5)
}

// A clock that stood years ahead for a while neither forgets an id nor keeps
// one from being told apart once it is right again.
func TestAClockThatWasAhead(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.clock.advance(5000 * day)
	g.pop.add("1", sized(1, 500))
	g.poll()
	g.clock.advance(-5000 * day)
	g.poll() // it is gone
	g.pop.add("1", sized(2, 500))
	g.poll()
	g.wantExactly([]string{string(sized(1, 500)), string(sized(2, 500))})
	ledger, err := g.store.Ledger(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ledger {
		if e.LastListedAt.After(g.clock.now()) {
			t.Errorf("listed in the future: %+v", e)
		}
	}
}

// Any byte may be in an id.
func TestStrangeIDs(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	ids := []string{"a\x00b", "a\x00c", "\xff\xfe", "a b", "sha256:", "%41+", "'; DROP TABLE ledger; --"}
	for n, id := range ids {
		g.pop.add(id, testkit.Message(n))
	}
	g.want(g.poll(), len(ids), 0, 0, len(ids))
	g.poll()
	for _, id := range ids {
		if n := g.pop.fetched(id); n != 1 {
			t.Errorf("%q was fetched %d times", id, n)
		}
	}
	g.runner.account.Keep = plan.KeepNever()
	g.want(g.poll(), 0, 0, len(ids), 0)
	g.wantMail(0, len(ids))
}

// A second poll of the same bytes under ids that are all taken by others.
func TestIDsThatChangePlaces(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	var want []string
	for n := range 12 {
		data := sized(n, 400)
		g.pop.add(uidl(n), data)
		want = append(want, string(data))
	}
	g.poll()
	g.pop.change(func() { // as after a migration by someone who numbers again
		for n, m := range g.pop.messages {
			m.uidl = uidl((n + 5) % 12)
			m.size = 401 + int64(n)
		}
	})
	g.poll()
	g.poll()
	g.wantExactly(want)
}
