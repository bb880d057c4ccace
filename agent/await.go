package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	awaitEvery  = 100 * time.Millisecond
	awaitWithin = 15 * time.Second
)

// Awaited is an agent that was waited for.
type Awaited struct {
	PID    int
	Listen []string // where it serves mail; nil where that is not known
	// Answers tells that it has answered. One that has not may be waiting for its
	// data folder, or belongs to another user, who alone may ask it.
	Answers bool
}

// Await waits until an agent with the config runs and answers that is another
// process than former (0: none), at most awaitWithin. It ends early, with why, when
// the agent has failed since a moment, or alive says that there will be none.
func Await(ctx context.Context, configPath string, o Options, former int, since time.Time, alive func() error) (Awaited, error) {
	b := book(&config.Config{Path: configPath}, o)
	ctx, cancel := context.WithTimeout(ctx, awaitWithin)
	defer cancel()
	for {
		end := b.LastEnd()
		if end != nil && end.Failed && end.At != nil && !end.At.Before(since.Truncate(time.Second)) {
			return Awaited{}, fault.New(fault.Temporary, "the service has ended: "+end.Reason, "")
		}
		running := b.Running()
		if running != nil && running.PID != former {
			if s, err := statusOf(ctx, running.DataDir); err == nil && s.PID == running.PID {
				return Awaited{PID: s.PID, Listen: s.Listen, Answers: true}, nil
			}
		}
		if err := alive(); err != nil {
			return Awaited{}, err
		}
		if sleep(ctx, awaitEvery) {
			continue
		}
		if running != nil && running.PID != former {
			return Awaited{PID: running.PID}, nil
		}
		return Awaited{}, fault.New(fault.Temporary, fmt.Sprintf("the service was started, but no agent has come up within %v", awaitWithin), "")
	}
}

func statusOf(ctx context.Context, dataDir string) (control.Status, error) {
	c, err := control.Connect(ctx, dataDir)
	if err != nil {
		return control.Status{}, err
	}
	defer func() { _ = c.Close() }() // there is nothing left to say
	return c.Status(ctx)
}
