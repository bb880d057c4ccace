package agent

import (
	"context"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A disk that fails is a condition of its users, and over by itself.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, home := agenttest.POP(t, "home", 1)
	_, bob := agenttest.POP(t, "bob", 1)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: home},
		agenttest.Account{Name: "bob", User: "bob", Folder: "INBOX", Port: bob})
	r.Start()
	r.Sync()
	u := &upkeep{agent: r.own(), bad: map[string]bool{}}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.Full, "no space left", "free some"), "store-full store-full"},
		{fault.New(fault.Temporary, "read-only", "look at it"), "store-unwritable store-unwritable"},
		{fault.New(fault.Corrupt, "index is damaged", "repair it"), "store-corrupt store-corrupt"},
		{nil, ""},
	} {
		u.healthy = func(*mailstore.Store, context.Context) error { return tt.err }
		u.probe(t.Context())
		if got := r.Codes(); got != tt.want {
			t.Errorf("%v: conditions %q, want %q", tt.err, got, tt.want)
		}
	}
	u.purge(t.Context())
}
