package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit"
)

// faultyStore is a store of which calls fail.
type faultyStore struct {
	Store
	mu     sync.Mutex
	before func(call string) error // called before each call that writes
	after  func(call string) error // called after each call that writes
	batch  func([]mailstore.Delivery) error
}

func (s *faultyStore) around(call string, do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before != nil {
		if err := s.before(call); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if s.after != nil {
		return s.after(call)
	}
	return nil
}

func (s *faultyStore) Spool(ctx context.Context, r io.Reader) (sp *mailstore.Spooled, err error) {
	err = s.around("spool", func() error { sp, err = s.Store.Spool(ctx, r); return err })
	if err != nil && sp != nil {
		sp.Discard()
	}
	return sp, err
}

func (s *faultyStore) Deliver(ctx context.Context, batch []mailstore.Delivery) (d []mailstore.Delivered, err error) {
	err = s.around("deliver", func() error {
		if s.batch != nil {
			if err := s.batch(batch); err != nil {
				return err
			}
		}
		d, err = s.Store.Deliver(ctx, batch)
		return err
	})
	return d, err
}

func (s *faultyStore) UpdateLedger(ctx context.Context, account string, changes []mailstore.LedgerEntry) error {
	return s.around("ledger", func() error { return s.Store.UpdateLedger(ctx, account, changes) })
}

func (s *faultyStore) SetAccountState(ctx context.Context, account string, state mailstore.AccountState) error {
	return s.around("state", func() error { return s.Store.SetAccountState(ctx, account, state) })
}

// The program dies before or after any call that writes, and starts again.
func TestDeathAtEveryWrite(t *testing.T) {
	t.Parallel()
	errDead := errors.New("dead")
	for _, keep := range []plan.Keep{plan.KeepForever(), plan.KeepNever()} {
		for _, where := range []string{"before", "after"} {
			for at := 1; ; at++ {
				g := newRig(t, keep)
				g.fill(0, 8)
				dead, writes := false, 0
				die := func(string) error {
					if writes++; writes == at || dead {
						dead = true
						return errDead
					}
					return nil
				}
				faulty := &faultyStore{Store: g.store}
				if where == "before" {
					faulty.before = die
				} else {
					faulty.after = die
				}
				// The dead say no good-bye either.
				g.pop.trouble.quit = quitCut
				if at%2 == 0 {
					g.pop.trouble.quit = quitSilent
				}
				g.runner = newTestRunner(g.pop, faulty, g.clock, "home", "INBOX", keep)
				g.runner.account.ConfirmDeletes = true
				_, err := g.runner.Poll(t.Context(), nil)
				if !dead {
					break
				}
				if !errors.Is(err, errDead) {
					t.Errorf("%v, %s write %d: error %v", keep, where, at, err)
				}
				g.pop.change(func() { g.pop.trouble = trouble{} })
				g.restart(keep)
				g.runner.account.ConfirmDeletes = true
				g.poll()
				g.wantMail(0, 8)
				if left := g.pop.count(); keep == plan.KeepNever() && left != 0 {
					t.Errorf("%v, %s write %d: %d left on the server", keep, where, at, left)
				}
				if at > 200 {
					t.Fatalf("%d writes", at)
				}
			}
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"spool", "deliver"} {
		t.Run(call, func(t *testing.T) {
			g := newRig(t, plan.KeepNever())
			g.fill(0, 80)
			full := fault.New(fault.Full, "the disk is full", "make room")
			faulty := &faultyStore{Store: g.store, before: func(c string) error {
				if c == call {
					return full
				}
				return nil
			}}
			g.runner = newTestRunner(g.pop, faulty, g.clock, "home", "INBOX", plan.KeepNever())
			if err := g.pollError(); !fault.Is(err, fault.Full) {
				t.Errorf("error %v", err)
			}
			if s := g.runner.Status(); s.State != Backoff || s.Kind != fault.Full || s.Hint != "make room" || len(s.Problems) != 0 {
				t.Errorf("status %+v", s)
			}
			if n := g.pop.count(); n != 80 {
				t.Errorf("%d left on the server", n)
			}
			faulty.before = nil
			g.want(g.poll(), 80, 0, 80, 0)
			g.wantMail(0, 80)
		})
	}
}

// A message that the store can't take does not keep others of its batch out.
func TestPoisonInTheStore(t *testing.T) {
	t.Parallel()
	g := newRig(t, plan.KeepNever())
	g.fill(0, 30)
	poison := g.poisonOf(testkit.Message(7))
	faulty := &faultyStore{Store: g.store, batch: func(batch []mailstore.Delivery) error {
		for _, d := range batch {
			if d.Message.Hash() == poison {
				return errors.New("constraint failed")
			}
		}
		return nil
	}}
	g.runner = newTestRunner(g.pop, faulty, g.clock, "home", "INBOX", plan.KeepNever())
	g.want(g.poll(), 29, 0, 0, 30)
	g.want(g.scheduled(), 0, 0, 29, 1)
	if p := g.runner.Status().Problems; len(p) != 1 || p[0].UIDL != uidl(7) || !strings.Contains(p[0].Reason, "constraint") {
		t.Errorf("problems %+v", p)
	}
	// Of a single one it can't be said whether it is the message or the store.
	g.clock.advance(day)
	g.pollError()
	faulty.batch = nil
	g.want(g.poll(), 1, 0, 1, 0)
	g.wantMail(0, 30)
}

func (g *rig) poisonOf(data []byte) mailstore.Hash {
	g.t.Helper()
	sp, err := g.store.Spool(context.Background(), strings.NewReader(string(data)))
	if err != nil {
		g.t.Fatal(err)
	}
	defer sp.Discard()
	return sp.Hash()
}

// The steps of a message from the listing to the confirmed deletion, in order.
func TestStepsInOrder(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.fill(0, 1)
	var mu sync.Mutex
	var steps []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, fmt.Sprintf(format, args...))
	}
	faulty := &ledgerSpy{faultyStore: faultyStore{Store: g.store}, note: note}
	faulty.after = func(call string) error {
		if call != "ledger" {
			note("%s", call)
		}
		return nil
	}
	g.pop.said = func(command string) { note("%s", command) }
	g.runner = newTestRunner(g.pop, faulty, g.clock, "home", "INBOX", plan.KeepNever())
	g.poll()
	want := "state CAPA USER PASS CAPA STAT LIST UIDL RETR spool UIDL deliver ledger:intended DELE QUIT ledger:acked state"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps\n got %s\nwant %s", got, want)
	}
}

// ledgerSpy names the states that are written.
type ledgerSpy struct {
	faultyStore
	note func(string, ...any)
}

func (s *ledgerSpy) UpdateLedger(ctx context.Context, account string, changes []mailstore.LedgerEntry) error {
	err := s.faultyStore.UpdateLedger(ctx, account, changes)
	names := map[mailstore.LedgerState]string{mailstore.DeleteIntended: "intended", mailstore.DeleteAcked: "acked"}
	s.note("ledger:%s", names[changes[0].State])
	return err
}
