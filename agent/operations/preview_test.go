package operations_test

import (
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// What a person allows is what the person has seen: with one message more nothing is.
func TestConfirmAllowsWhatWasSeen(t *testing.T) {
	t.Parallel()
	r, srv, home := agenttest.OneUser(t, open)
	home.More = "keep_on_server = \"newest 1\""
	r.Reload(home)
	r.Sync()
	seen := previewed(t, r)
	if len(seen.Delete) != 2 || !seen.NeedsConfirm || seen.Digest == "" {
		t.Fatalf("%+v", seen)
	}
	srv.Add(testkit.Message(9))
	_, err := r.Ops().Confirm(t.Context(), operations.Confirm{Account: "home", Seen: seen.Digest})
	if !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("another message: %v", err)
	}
	if now := previewed(t, r); !now.NeedsConfirm || len(now.Delete) != 3 || now.Digest == seen.Digest {
		t.Errorf("after it was refused: %+v", now)
	}
	done, err := r.Ops().Confirm(t.Context(), operations.Confirm{Account: "home", Seen: previewed(t, r).Digest})
	if err != nil || done.Deletions == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if previewed(t, r).NeedsConfirm {
		t.Error("what was confirmed waits")
	}
}

// Where nobody has looked, no deletion is allowed: not with the user of an account either.
func TestConfirmOfWhatNobodyHasSeen(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	home.More = "keep_on_server = \"newest 1\""
	r.Reload(home)
	r.Sync()
	unseen := operations.Confirm{Account: "home"}
	if _, err := r.Ops().Confirm(t.Context(), unseen); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
		t.Errorf("nobody has looked: %v", err)
	}
	if now := previewed(t, r); len(now.Delete) != 2 || !now.NeedsConfirm {
		t.Errorf("after it was refused: %+v", now)
	}
	home.User = "bob"
	r.Reload(home)
	done, err := r.Ops().Confirm(t.Context(), unseen)
	if err != nil || done != (operations.Confirmed{User: "bob"}) {
		t.Errorf("of another user: %+v, %v", done, err)
	}
	syncedAfterChange(t, r)
	if now := previewed(t, r); len(now.Delete) != 2 || !now.NeedsConfirm {
		t.Errorf("with the user: %+v", now)
	}
	if _, err := r.Ops().Confirm(t.Context(), operations.Confirm{Account: "home", Everything: true}); err != nil || previewed(t, r).NeedsConfirm {
		t.Errorf("everything: %v", err)
	}
}

// A word about what is incomplete allows no other deletion, and the page has to say what
// was seen of it.
func TestConfirmOfWhatIsIncomplete(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	home.More = "keep_on_server = \"newest 1\""
	r.Reload(home)
	r.Sync()
	if _, err := r.Ops().ConfirmSeen(t.Context(), operations.Seen{Account: "home", Incomplete: true}); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
		t.Errorf("nobody has looked: %v", err)
	}
	for _, seen := range []string{"", previewed(t, r).Digest} {
		done, err := r.Ops().Confirm(t.Context(), operations.Confirm{Account: "home", Seen: seen, Incomplete: true})
		if err != nil || done != (operations.Confirmed{}) || !previewed(t, r).NeedsConfirm {
			t.Errorf("%+v, %v", done, err)
		}
	}
}

// A change is made as it was seen: what another page or a message has made of it meanwhile
// deletes nothing that waits for nobody.
func TestAChangeDeletesWhatWasSeen(t *testing.T) {
	t.Parallel()
	r, srv, home := agenttest.OneUser(t, open)
	home.More = "shadow = true\nconfirm_deletes = false"
	r.Reload(home)
	r.Sync()
	ask := operations.SetAccount{Account: "home", Settings: map[string]string{"keep_on_server": "never"}}
	plan := func() string {
		t.Helper()
		p, err := r.Ops().PlanAccount(t.Context(), ask)
		if err != nil || p.Preview == nil || p.Preview.Error != "" || p.Preview.Digest == "" {
			t.Fatalf("%+v, %v", p.Preview, err)
		}
		return p.Preview.Digest
	}
	refused := func(kind fault.Kind) {
		t.Helper()
		before := r.Text()
		if _, err := r.Ops().SetAccount(t.Context(), ask); !fault.Is(err, kind) || fault.Hint(err) == "" || r.Text() != before {
			t.Errorf("seen %q: %v", ask.Seen, err)
		}
	}
	ask.Seen = plan()
	other := operations.SetAccount{Account: "home", Settings: map[string]string{"shadow": ""}} // deletes nothing, either
	if _, err := r.Ops().SetAccount(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	syncedAfterChange(t, r)
	refused(fault.Conflict)
	ask.Seen = plan()
	srv.Add(testkit.Message(9))
	refused(fault.Conflict)
	seen := plan()
	ask.Seen = ""
	refused(fault.Conflict)
	ask.Seen = seen
	if _, err := r.Ops().SetAccount(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	syncedAfterChange(t, r)
	if n := srv.Messages(); n != 0 {
		t.Errorf("%d messages are left on the server", n)
	}
}

// What a change would delete cannot be looked at: it is made only where it waits.
func TestAChangeThatCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	r.Sync()
	home.Port = 1 // nothing is there
	r.Reload(home)
	ask := operations.SetAccount{Account: "home", Settings: map[string]string{"keep_on_server": "never", "confirm_deletes": "false"}}
	if _, err := r.Ops().SetAccount(t.Context(), ask); !fault.Is(err, fault.Temporary) || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
	ask.Settings["confirm_deletes"] = "true"
	if _, err := r.Ops().SetAccount(t.Context(), ask); err != nil {
		t.Error(err)
	}
}

// syncedAfterChange syncs once the server has given up the session of the account as it was.
func syncedAfterChange(t *testing.T, r *agenttest.Rig) {
	t.Helper()
	agenttest.Eventually(t, "the mailbox is free", func() bool {
		results, err := r.Ops().Sync(t.Context(), nil, nil)
		return err == nil && results[0].Error == ""
	})
}

func previewed(t *testing.T, r *agenttest.Rig) operations.Preview {
	t.Helper()
	list, err := r.Ops().Preview(t.Context(), []string{"home"})
	if err != nil || list[0].Error != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}
