package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestConfirmedIsRemembered(t *testing.T) {
	policy := plan.Policy{Keep: plan.KeepFor(30 * day), Expunged: true, Grace: day}
	if !decodePollState(pollState{Confirmed: policy.Permit()}.text()).Confirmed.Covers(policy.Permit()) {
		t.Error("what was confirmed is forgotten")
	}
	for _, text := range []string{"", "{", `{"v":2,"confirmed":{"keep":"never"}}`} {
		if decodePollState(text).Confirmed.Covers((plan.Policy{Keep: plan.KeepNever()}).Permit()) {
			t.Errorf("%q allows everything", text)
		}
	}
}

func TestKeepNewest(t *testing.T) {
	g := newRig(t, plan.KeepNewest(10))
	g.fill(0, 30)
	g.want(g.poll(), 30, 0, 20, 10)
	g.fill(30, 34)
	g.pop.messages[0].err = "-ERR not now" // stored already
	g.want(g.poll(), 4, 0, 4, 10)
	// What could not be fetched stays and takes no place of a newer one.
	g.fill(34, 50)
	g.pop.messages[12].err = "-ERR not now"
	g.want(g.poll(), 15, 0, 15, 11)
	if g.pop.messages[0].err == "" {
		t.Error("the message that was not fetched is gone")
	}
}

func TestKeepBelow(t *testing.T) {
	g := newRig(t, plan.KeepBelow(50, 2000))
	for n := range 8 {
		g.pop.add(uidl(n), fmt.Appendf(nil, "Subject: %d\r\n\r\n%s", n, strings.Repeat("x", 300))).size = 200
	}
	g.want(g.poll(), 8, 0, 4, 4)
	g.want(g.poll(), 0, 0, 0, 4)
}

func TestPreview(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.runner.account.ConfirmDeletes = true
	g.fill(0, 5)
	g.poll()
	g.fill(5, 7)
	g.restart(plan.KeepNewest(1))
	g.runner.account.ConfirmDeletes = true
	before, err := g.store.Ledger(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.runner.Preview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Fetch != 2 || len(got.Delete) != 6 || got.Kept != 1 || !got.NeedsConfirm || got.Policy != "keep_on_server = newest 1" {
		t.Errorf("preview %+v", got)
	}
	for n, d := range got.Delete {
		if d.UIDL != uidl(n) || d.Size != g.pop.messages[n].listed() || d.StoredAt.IsZero() != (n >= 5) || d.Reason == "" {
			t.Errorf("delete %+v", d)
		}
	}
	after, err := g.store.Ledger(t.Context(), "home")
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Errorf("the ledger has changed: %v %s", err, diff)
	}
	if g.pop.fetched(uidl(5)) != 0 || g.pop.deles != 0 {
		t.Error("the preview was none")
	}
	g.want(g.poll(), 2, 0, 0, 7)
	if s := g.runner.Status(); s.Awaiting != 6 || len(s.Problems) != 0 {
		t.Errorf("status %+v", s)
	}
}

// What the next poll will delete on the server is known before it does, over a
// restart too.
func TestStatusSaysWhatWillBeDeleted(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 40)
	g.poll()
	look := func(total int, first string) {
		t.Helper()
		for range 2 { // the second time after a restart
			s := g.runner.Status()
			if s.DeletesTotal != total || len(s.Deletes) != min(total, maxShownDeletes) {
				t.Fatalf("%d deletions, %d named, want %d", s.DeletesTotal, len(s.Deletes), total)
			}
			if total > 0 && (s.Deletes[0].UIDL != first || s.Deletes[0].Reason == "" || s.Deletes[0].Hash == mailstore.Hash{} || s.Deletes[0].StoredAt.IsZero()) {
				t.Fatalf("named first %+v, want %s", s.Deletes[0], first)
			}
			g.restart(g.runner.account.Keep)
			g.runner.account.ConfirmDeletes = true
			if err := g.runner.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	look(0, "")
	g.restart(plan.KeepFor(30 * day))
	g.runner.account.ConfirmDeletes = true
	g.poll()
	look(0, "")
	if err := g.runner.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.clock.advance(30*day - time.Minute)
	g.want(g.poll(), 0, 0, 0, 40) // due in a minute
	look(40, uidl(0))
	g.clock.advance(2 * time.Minute)
	g.want(g.poll(), 0, 0, 40, 0)
	look(0, "")
	g.fill(40, 50)
	g.poll()
	g.restart(plan.KeepNewest(3)) // waits for Confirm
	g.runner.account.ConfirmDeletes = true
	if err := g.runner.Load(t.Context()); err != nil || g.runner.Status().DeletesTotal != 0 {
		t.Fatalf("what the former policy would delete: %+v, %v", g.runner.Status(), err)
	}
	g.want(g.poll(), 0, 0, 0, 10)
	look(7, uidl(40))
	g.runner.account.Shadow = true
	g.poll()
	if s := g.runner.Status(); s.DeletesTotal != 0 {
		t.Errorf("a shadow would delete %d", s.DeletesTotal)
	}
}

// The first deletion after a policy goes further waits; one that goes less far
// does not, and what was there from the beginning does not.
func TestConfirm(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	again := func(k plan.Keep) {
		g.restart(k)
		g.runner.account.ConfirmDeletes = true
	}
	again(plan.KeepNever())
	g.pop.change(func() { g.pop.trouble.noUIDL = true })
	g.fill(0, 1)
	g.poll() // goes through, and stores nothing under an id
	g.pop.change(func() { g.pop.trouble = trouble{}; g.pop.messages = nil })

	g.fill(1, 3)
	g.want(g.poll(), 2, 0, 2, 0)
	again(plan.KeepFor(30 * day))
	g.fill(3, 6)
	g.want(g.poll(), 3, 0, 0, 3)
	g.clock.advance(31 * day)
	g.want(g.poll(), 0, 0, 3, 0)

	again(plan.KeepNever()) // goes further than 30 days
	g.fill(6, 8)
	g.want(g.poll(), 2, 0, 0, 2)
	again(plan.KeepNever())
	if err := g.runner.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := g.runner.Status(); s.Awaiting != 2 || s.DeletesTotal != 2 || len(s.Problems) != 0 {
		t.Errorf("status %+v", s)
	}
	g.want(g.poll(), 0, 0, 0, 2)
	if err := g.runner.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := g.runner.Status(); s.Awaiting != 0 || len(s.Problems) != 0 {
		t.Errorf("status %+v", s)
	}
	again(plan.KeepNever())
	g.want(g.poll(), 0, 0, 2, 0)

	again(plan.KeepForever())
	g.fill(8, 9)
	g.want(g.poll(), 1, 0, 0, 1)
	again(plan.KeepNever()) // was confirmed once, and left since
	g.want(g.poll(), 0, 0, 0, 1)
	g.runner.account.ConfirmDeletes = false
	g.want(g.poll(), 0, 0, 1, 0)
}

// What was lost with the index is no ground for deleting anything.
func TestConfirmAfterTheMemoryIsLost(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.runner.account.ConfirmDeletes = true
	g.fill(0, 3)
	g.want(g.poll(), 3, 0, 3, 0)
	if err := g.store.SetAccountState(t.Context(), "home", mailstore.AccountState{}); err != nil {
		t.Fatal(err)
	}
	g.restart(plan.KeepNever())
	g.runner.account.ConfirmDeletes = true
	g.fill(3, 5)
	for range 2 {
		g.poll()
		if s := g.runner.Status(); s.Awaiting != 2 || g.pop.count() != 2 {
			t.Errorf("status %+v", s)
		}
	}
}

// A policy that was there before the first poll needs no confirmation, however
// often that poll is broken off.
func TestFirstPollBrokenOff(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.runner.account.ConfirmDeletes = true
	g.fill(0, 5)
	faulty := &faultyStore{Store: g.store}
	faulty.after = func(call string) error {
		if call == "deliver" {
			return fault.New(fault.Full, "dead", "")
		}
		return nil
	}
	g.runner.store = faulty
	g.pollError()
	g.restart(plan.KeepNever())
	g.runner.account.ConfirmDeletes = true
	g.want(g.poll(), 0, 0, 5, 0)
	g.wantMail(0, 5)
}

func TestShadow(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	g.runner.account.Shadow = true
	g.fill(0, 5)
	g.want(g.poll(), 5, 0, 0, 5)
	g.want(g.poll(), 0, 0, 0, 5)
	if p, err := g.runner.Preview(t.Context()); err != nil || len(p.Delete) != 5 || p.NeedsConfirm {
		t.Errorf("preview %+v, error %v", p, err)
	}
	if g.pop.deles != 0 || g.runner.Status().Awaiting != 0 {
		t.Errorf("%d DELEs, status %+v", g.pop.deles, g.runner.Status())
	}
	// The end of the shadow goes further than the shadow.
	g.restart(plan.KeepNever())
	g.runner.account.ConfirmDeletes = true
	g.want(g.poll(), 0, 0, 0, 5)
	if err := g.runner.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.want(g.poll(), 0, 0, 5, 0)
}

// expunge removes the n-th message of INBOX.
func (g *rig) expunge(n int) {
	g.t.Helper()
	ctx := context.Background()
	inbox, err := g.store.Mailbox(ctx, "INBOX")
	if err != nil {
		g.t.Fatal(err)
	}
	view, err := g.store.OpenView(ctx, inbox.ID)
	if err != nil {
		g.t.Fatal(err)
	}
	defer view.Close()
	uids := view.Snapshot().UIDs[n : n+1]
	if _, err := g.store.SetFlags(ctx, inbox.ID, uids, mailflags.Add, []string{`\Deleted`}); err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.store.Expunge(ctx, inbox.ID, slices.Clone(uids)); err != nil {
		g.t.Fatal(err)
	}
}

func TestDeletingHereDeletesThere(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.runner.account.DeleteExpunged = true
	g.fill(0, 5)
	g.poll()
	g.expunge(3)
	g.expunge(1)
	g.clock.advance(6 * day)
	g.want(g.poll(), 0, 0, 0, 5)
	expunged, err := g.store.Expunged(t.Context(), mailstore.ExpungedQuery{})
	if err != nil || len(expunged) != 2 {
		t.Fatalf("expunged %+v, error %v", expunged, err)
	}
	if _, err := g.store.Undelete(t.Context(), []int64{expunged[0].ID}); err != nil { // changed their mind
		t.Fatal(err)
	}
	g.clock.advance(2 * day)
	p, err := g.runner.Preview(t.Context())
	if err != nil || len(p.Delete) != 1 || !strings.Contains(p.Delete[0].Reason, "removed here 8 days ago") {
		t.Errorf("preview %+v, error %v", p, err)
	}
	g.want(g.poll(), 0, 0, 1, 4)
	g.want(g.poll(), 0, 0, 0, 4)
	if got := mail(t, g.store, "INBOX"); len(got) != 4 {
		t.Errorf("%d messages here", len(got))
	}
}

// A store that does not know an account which has polled before is one that was
// begun again: nothing is deleted on the server until a person says so, whatever
// the policy, and over a restart.
func TestAStoreThatIsNewToAnAccountDeletesNothing(t *testing.T) {
	g := newRig(t, plan.KeepNever())
	again := func(moved bool) {
		g.restart(plan.KeepNever())
		g.runner.account.ConfirmDeletes, g.runner.account.Moved = false, moved
	}
	again(true)
	g.fill(0, 2)
	g.want(g.poll(), 2, 0, 0, 2)
	if s := g.runner.Status(); !s.Held || s.Awaiting != 2 {
		t.Errorf("status %+v", s)
	}
	again(false) // it is known by now where it polls into
	if err := g.runner.Load(t.Context()); err != nil || !g.runner.Status().Held {
		t.Errorf("forgotten over a restart: %v, %+v", err, g.runner.Status())
	}
	g.want(g.poll(), 0, 0, 0, 2)
	if err := g.runner.Confirm(t.Context()); err != nil || g.runner.Status().Held {
		t.Errorf("after Confirm: %v, %+v", err, g.runner.Status())
	}
	g.want(g.poll(), 0, 0, 2, 0)
	again(true) // the store knows the account
	g.fill(2, 3)
	g.want(g.poll(), 1, 0, 1, 0)
}
