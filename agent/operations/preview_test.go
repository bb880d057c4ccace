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

func previewed(t *testing.T, r *agenttest.Rig) operations.Preview {
	t.Helper()
	list, err := r.Ops().Preview(t.Context(), []string{"home"})
	if err != nil || list[0].Error != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}
