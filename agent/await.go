package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/health"
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
	PID     int
	Listen  []string // where it serves mail
	Answers bool
	Private bool               // it answers another user only
	Waiting string             // why it waits for its data folder
	Deaf    []health.Condition // why mail clients cannot connect, at one address at least
}

// Await waits until an agent with the config of b runs and answers that is another
// process than former (0: none), at most awaitWithin. It ends early, with why, when
// an agent has failed since a moment, or alive says that there will be none.
func Await(ctx context.Context, b *state.Book, former int, since time.Time, alive func() error) (Awaited, error) {
	since = since.Truncate(time.Millisecond)
	for start := time.Now(); ; {
		if err := failedSince(b, since); err != nil {
			return Awaited{}, err
		}
		running := b.Running()
		if running != nil && running.PID == former {
			running = nil
		}
		if running != nil {
			s, err := statusOf(ctx, running.DataDir)
			switch {
			case running.Waiting != "", fault.Is(err, fault.Denied):
				return Awaited{PID: running.PID, Waiting: running.Waiting, Private: true}, nil
			case err == nil && s.PID == running.PID:
				return Awaited{PID: s.PID, Listen: s.Listen, Answers: true, Deaf: deaf(s.Health)}, nil
			}
		}
		if err := alive(); err != nil {
			return Awaited{}, cmp.Or(failedSince(b, since), err) // it may have said why meanwhile
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

// failedSince is why an agent has ended since a moment, nil where none has failed.
func failedSince(b *state.Book, since time.Time) error {
	end := b.LastEnd()
	if end == nil || !end.Failed || end.At == nil || end.At.Before(since) {
		return nil
	}
	return fault.New(fault.Temporary, "the service has ended: "+end.Reason, "")
}

func deaf(conditions []health.Condition) []health.Condition {
	var list []health.Condition
	for _, c := range conditions {
		switch c.Code {
		case health.CodeIMAPPortBusy, health.CodeIMAPFailed, health.CodeLocalTLS:
			list = append(list, c)
		}
	}
	return list
}

func statusOf(ctx context.Context, dataDir string) (operations.Status, error) {
	c, err := control.Connect(ctx, dataDir)
	if err != nil {
		return operations.Status{}, err
	}
	defer func() { _ = c.Close() }() // there is nothing left to say
	return c.Status(ctx)
}
