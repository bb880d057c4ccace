package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

const (
	awaitEvery  = 100 * time.Millisecond
	awaitWithin = 15 * time.Second
)

// Awaited is an agent that was waited for.
type Awaited struct {
	PID    int
	Listen []string // where it serves mail
	// Answers tells that it has answered. One of another user is not asked, for it
	// answers that user only.
	Answers bool
	Waiting string // why it waits for its data folder
}

// Await waits until an agent with the config of b runs and answers that is another
// process than former (0: none), at most awaitWithin. It ends early, with why, when
// an agent has failed since a moment, or alive says that there will be none.
func Await(ctx context.Context, b *state.Book, former int, since time.Time, alive func() error) (Awaited, error) {
	since = since.Truncate(time.Millisecond)
	for start := time.Now(); ; {
		if end := b.LastEnd(); end != nil && end.Failed && end.At != nil && !end.At.Before(since) {
			return Awaited{}, fault.New(fault.Temporary, "the service has ended: "+end.Reason, "")
		}
		running := b.Running()
		if running != nil && running.PID == former {
			running = nil
		}
		if running != nil {
			s, err := statusOf(ctx, running.DataDir)
			switch {
			case running.Waiting != "", fault.Is(err, fault.Denied):
				return Awaited{PID: running.PID, Waiting: running.Waiting}, nil
			case err == nil && s.PID == running.PID:
				return Awaited{PID: s.PID, Listen: s.Listen, Answers: true}, nil
			}
		}
		if err := alive(); err != nil {
			return Awaited{}, err
		}
		switch late := time.Since(start) > awaitWithin; {
		case late && running != nil:
			return Awaited{PID: running.PID}, nil
		case late:
			return Awaited{}, fault.New(fault.Temporary, fmt.Sprintf("the service was started, but no agent has come up within %v", awaitWithin), "")
		case !supervise.Sleep(ctx, awaitEvery):
			return Awaited{}, ctx.Err()
		}
	}
}

func statusOf(ctx context.Context, dataDir string) (operations.Status, error) {
	c, err := control.Connect(ctx, dataDir)
	if err != nil {
		return operations.Status{}, err
	}
	defer func() { _ = c.Close() }() // there is nothing left to say
	return c.Status(ctx)
}
