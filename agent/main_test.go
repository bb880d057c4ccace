package agent

import (
	"context"
	"os"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/testkit"
)

// TestMain gives the tests a state folder of their own.
func TestMain(m *testing.M) {
	testkit.Quick()
	testkit.Overlap()
	dir, err := os.MkdirTemp("", "pbstate")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("XDG_STATE_HOME", dir)
	_ = os.Unsetenv("STATE_DIRECTORY")
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Microsoft/go-winio.ioCompletionProcessor"), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func open(ctx context.Context, cfg *config.Config, setLevel func(string), ready func([]string)) (agenttest.Agent, error) {
	return Open(ctx, cfg, Options{Log: zerolog.Nop(), SetLevel: setLevel, Ready: ready})
}

// rig is an agenttest.Rig whose agent can be looked into.
type rig struct {
	*agenttest.Rig
	t *testing.T
}

func (r *rig) own() *Agent { return r.Agent.(*Agent) }

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{agenttest.New(t, open), t}
}
