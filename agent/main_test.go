package agent

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/config"
)

func TestMain(m *testing.M) { agenttest.Main(m) }

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
