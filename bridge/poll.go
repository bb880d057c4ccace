package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// poll runs sessions until everything the server lists is here. Between them
// it leaves the server the time it asks for.
func (r *Runner) poll(ctx context.Context, m *meter) (Result, error) {
	started := time.Now()
	if err := r.load(ctx); err != nil {
		return Result{}, err
	}
	var total Result
	var err error
	for idle := 0; ; {
		s := &session{Runner: r, m: m}
		var again bool
		again, err = s.run(ctx)
		total.add(s.result)
		if s.result.Stored+s.result.Adopted+s.result.Deleted > 0 {
			idle = 0
		} else {
			idle++
		}
		if !again || ctx.Err() != nil {
			break
		}
		if err == nil && idle > 0 {
			err = fault.New(fault.Temporary, "the server gives no messages in this session", "it is tried again by itself")
			break
		}
		if idle > maxIdleRetries {
			break
		}
		m.phase(PhaseWait)
		if err = sleep(ctx, max(r.settle, r.Status().LoginDelay)); err != nil {
			break
		}
	}
	total.Failed = len(r.problems.byID)
	if saveErr := r.save(ctx, total, err); err == nil {
		err = saveErr
	}
	r.report(total, err, time.Since(started))
	return total, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load reads what is remembered of the account, once.
func (r *Runner) load(ctx context.Context) error {
	if r.loaded {
		return nil
	}
	state, err := r.store.AccountState(ctx, r.account.Name)
	if err != nil {
		return err
	}
	r.state, r.loaded = state, true
	r.update(func(s *Status) {
		s.LastSuccess, s.Stored, s.OnServer = state.LastSuccess, state.Stored, state.OnServer
	})
	return nil
}

// save remembers how the poll went.
func (r *Runner) save(ctx context.Context, total Result, pollErr error) error {
	ctx, cancel := outlive(ctx, stopStore)
	defer cancel()
	r.state.LastError = ""
	if pollErr != nil {
		r.state.LastError = pollErr.Error()
	} else {
		r.state.LastSuccess = r.now()
		r.state.OnServer = total.OnServer
	}
	if err := r.store.SetAccountState(ctx, r.account.Name, r.state); err != nil {
		return err
	}
	state, err := r.store.AccountState(ctx, r.account.Name)
	if err != nil {
		return err
	}
	r.state.Stored = state.Stored
	return nil
}

// report logs one line for a poll that changed something or did not go through.
func (r *Runner) report(total Result, err error, took time.Duration) {
	event := r.log.Debug()
	text := "nothing new"
	switch {
	case errors.Is(err, context.Canceled):
		text = "poll stopped"
	case err != nil && err.Error() != r.lastLogged:
		event, text = r.log.Warn(), "poll failed"
	case err != nil:
		text = "poll failed again"
	case total.changed() || r.lastLogged != "":
		event, text = r.log.Info(), "poll done"
	}
	r.lastLogged = ""
	if err != nil {
		r.lastLogged = err.Error()
	}
	event.Err(err).Int("stored", total.Stored).Int("adopted", total.Adopted).Int("deleted", total.Deleted).
		Int("failed", total.Failed).Int64("size", total.Bytes).Int("sessions", total.Sessions).Dur("dur", took).Msg(text)
}

// shownProblems are the problems of messages, and what else does not work as
// configured.
func (r *Runner) shownProblems(next time.Time) []Problem {
	var list []Problem
	if r.contentMode && r.account.Keep != KeepForever() {
		list = append(list, Problem{NextTry: next, Reason: "the server gives its messages no ids, so they are kept there for ever: set keep_on_server = \"forever\""})
	}
	if r.unconfirmed > 0 {
		list = append(list, Problem{NextTry: next, Reason: fmt.Sprintf("the server did not confirm %d deletions; what is still there next time is deleted again", r.unconfirmed)})
	}
	return append(list, r.problems.list()...)
}
