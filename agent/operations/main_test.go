package operations_test

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/config"
)

func TestMain(m *testing.M) { agenttest.Main(m) }

func open(ctx context.Context, cfg *config.Config, setLevel func(string), ready func([]string)) (agenttest.Agent, error) {
	return agent.Open(ctx, cfg, agent.Options{Log: zerolog.Nop(), SetLevel: setLevel, Ready: ready})
}

func newRig(t *testing.T) *agenttest.Rig {
	t.Helper()
	return agenttest.New(t, open)
}

// twoUsers is a folder with accounts home and work of ann, and bob of bob.
func twoUsers(t *testing.T) *agenttest.Rig {
	t.Helper()
	r := newRig(t)
	_, home := agenttest.POP(t, "home", 3)
	_, work := agenttest.POP(t, "work", 2)
	_, bob := agenttest.POP(t, "bob", 1)
	r.Configure(agenttest.Plain,
		agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: home},
		agenttest.Account{Name: "work", User: "ann", Folder: "Work", Port: work},
		agenttest.Account{Name: "bob", User: "bob", Folder: "INBOX", Port: bob})
	return r
}
