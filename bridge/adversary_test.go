package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
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

// What a repair finds, or somebody brings back, while a session runs counts
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
			if _, err := g.store.Repair(t.Context(), mailstore.RepairOptions{}); err != nil {
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
	g.pop.change(func() { // as after a migration by somebody who numbers anew
		for n, m := range g.pop.messages {
			m.uidl = uidl((n + 5) % 12)
			m.size = 401 + int64(n)
		}
	})
	g.poll()
	g.poll()
	g.wantExactly(want)
}

// An account that gets another name, and a case of its host and a port as well,
// goes on where it was; one of another mailbox begins anew.
func TestAnAccountByAnotherName(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 6)
	g.poll()
	g.expunge(5)
	open := func(name, username string) {
		g.runner = newTestRunner(g.pop, g.store, g.clock, name, "INBOX", plan.KeepNever())
		g.runner.account.ConfirmDeletes = true
		g.runner.account.Server.Host, g.runner.account.Server.Port = "POP.test", 995
		g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: username, Secret: "secret"}, nil
		}
	}
	open("private", "home")
	if p, err := g.runner.Preview(t.Context()); err != nil || p.Fetch != 0 || len(p.Delete) != 6 || !p.NeedsConfirm {
		t.Errorf("%+v, %v", p, err)
	}
	g.want(g.poll(), 0, 0, 0, 6)
	if s := g.runner.Status(); s.Stored != 6 || s.Awaiting != 6 {
		t.Errorf("%+v", s)
	}
	open("private", "home") // as after a restart
	g.want(g.poll(), 0, 0, 0, 6)
	if old, err := g.store.Ledger(t.Context(), "home"); err != nil || len(old) != 0 {
		t.Errorf("%+v, %v", old, err)
	}
	open("another", "somebody else")
	g.runner.account.Shadow = true
	g.want(g.poll(), 6, 0, 0, 6)
}

// Another mailbox behind the same account, in which ids and sizes happen to be
// those of the former one: nothing is deleted there that did not come from there.
func TestAnAccountAtAnotherServer(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	var want []string
	fill := func(from int) {
		for n := range 4 {
			g.pop.add(uidl(n), sized(from+n, 500))
			want = append(want, string(sized(from+n, 500)))
		}
	}
	fill(10)
	g.poll()
	g.pop = newPopServer(t)
	fill(20)
	g.restart(plan.KeepNever())
	g.runner.account.Server.Host = "pop.other.test"
	g.want(g.poll(), 4, 0, 4, 0)
	g.wantExactly(want)
	g.want(g.poll(), 0, 0, 0, 0)
}

// Ids that both servers count up: at the new one no message is taken for one of
// the old one, neither at first nor later, and what came along from there is known.
func TestAnAccountAtAServerThatCountsLikeTheFormer(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	var want []string
	add := func(id, n int) {
		g.pop.add(uidl(id), sized(n, 500))
		want = append(want, string(sized(n, 500)))
	}
	for n := range 4 {
		add(n, 10+n)
	}
	g.poll()
	g.pop = newPopServer(t)
	add(0, 20)
	add(1, 21)
	for n := range 3 {
		add(10+n, 30+n)
	}
	g.pop.add(uidl(20), sized(13, 500)) // it moved along
	g.restart(plan.KeepForever())
	g.runner.account.Server.Host = "pop.other.test"
	g.want(g.poll(), 5, 1, 0, 6)
	add(2, 22)
	g.want(g.poll(), 1, 0, 0, 7)
	g.restart(plan.KeepForever())
	g.runner.account.Server.Host = "pop3.other.test" // the same by another name
	g.want(g.poll(), 0, 0, 0, 7)
	if n := g.pop.fetched(uidl(10)); n != 1 {
		t.Errorf("a message was fetched %d times", n)
	}
	g.wantExactly(want)
}
