package bridge

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// manyMessages is the number from which on a poll takes tens of megabytes: some 300
// octets a message.
const manyMessages = 20_000

// poll runs sessions until everything the server lists is here. Between them
// it leaves the server the time it asks for.
func (r *Runner) poll(ctx context.Context, m *meter, asked bool) (Result, error) {
	if err := r.load(ctx); err != nil {
		return Result{}, err
	}
	if r.memory.pollState.New && r.memory.state.Memory == "" {
		if err := r.remember(ctx); err != nil {
			return Result{}, err
		}
	}
	if asked {
		r.memory.problems.retry(r.now())
		r.memory.pollState.Undeleted.Next = 0
	}
	total := Result{OnServer: r.memory.state.OnServer}
	var err error
	most := 0 // messages that a session had to look at
	for idle := 0; ; {
		s := newSession(r, m)
		s.asked, s.result.OnServer = asked, total.OnServer
		var next follow
		var resumed bool
		next, resumed, err = r.droppable(ctx, s.run)
		total.add(s.result)
		most = max(most, len(s.ledger), len(s.plan.Actions.Fetch))
		switch {
		case resumed:
			next, err = soon, nil
		case s.result.Stored+s.result.Adopted+s.result.Deleted > 0 || s.told:
			idle = 0
		default:
			idle++
		}
		if next == enough || ctx.Err() != nil {
			break
		}
		if err == nil && idle > 0 {
			if !r.memory.contentMode || s.result.Bytes == 0 { // else it gave what is here already, see newFirst
				err = fault.New(fault.Temporary, "the server gives no messages in this session", "it is tried again by itself")
			}
			break
		}
		if idle > maxIdleRetries {
			break
		}
		if next == atOnce {
			continue
		}
		m.phase(PhaseWait)
		if err = r.wait(ctx); err != nil {
			break
		}
	}
	if most >= manyMessages {
		debug.FreeOSMemory() // else it is given back within minutes
	}
	total.Failed = len(r.memory.problems.byID)
	if r.memory.doubting {
		disk, cancel := supervise.Outlive(ctx, stopStore)
		findErr := r.findDoubts(disk)
		r.memory.doubting = findErr != nil // the next session sees in its ledger whether there are more
		if err == nil {
			err = findErr
		}
		cancel()
	}
	if saveErr := r.save(ctx, total, err); err == nil {
		err = saveErr
	}
	return total, err
}

// droppable runs what Resume may end.
func (r *Runner) droppable(ctx context.Context, run func(context.Context) (follow, error)) (next follow, resumed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	r.drop = cancel
	r.mu.Unlock()
	next, err = run(ctx)
	r.mu.Lock()
	r.drop = nil
	r.mu.Unlock()
	resumed = err != nil && context.Cause(ctx) == errResumed
	cancel(nil)
	return next, resumed, err
}

// wait waits for the interval between two sessions of a poll. It is
// measured again after a sleep of the computer, in which timers stand still, and
// after a preview: no session is open meanwhile, so that others have a turn.
func (r *Runner) wait(ctx context.Context) error {
	d := max(r.settle, r.memory.pollState.floor())
	for {
		r.endTurn()
		_, resumed, err := r.droppable(ctx, func(ctx context.Context) (follow, error) { return soon, sleep(ctx, d) })
		r.turn <- struct{}{} // others end within the deadlines of a session
		if err != nil && !resumed {
			return err
		}
		r.mu.Lock()
		d = r.earliestLocked().Sub(r.now())
		r.mu.Unlock()
		if d <= 0 {
			return nil
		}
	}
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

// Load reads what is remembered of the account, so that Status tells it
// before the first poll.
func (r *Runner) Load(ctx context.Context) error {
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	defer r.endTurn()
	return r.load(ctx)
}

// load does what Load does, once.
func (r *Runner) load(ctx context.Context) error {
	if r.memory.loaded {
		return nil
	}
	state, err := r.store.AccountState(ctx, r.account.Name)
	if err != nil {
		return err
	}
	r.memory.state, r.memory.loaded = state, true
	r.memory.pollState = decodePollState(state.Memory)
	if state.Memory == "" && state.LastSuccess.IsZero() && state.Stored == 0 {
		r.memory.pollState.New, r.memory.pollState.Held = true, r.account.Moved
	}
	if r.permitted() { // and notes a policy that goes less far
		r.memory.pollState.Awaiting = 0
	}
	if err := r.findDoubts(ctx); err != nil {
		r.memory.loaded = false
		return err
	}
	r.memory.problems.restore(r.memory.pollState.Issues, r.account.Server.MaxMessage)
	r.update(func(s *Status) {
		s.LastSuccess, s.Stored, s.OnServer = state.LastSuccess, state.Stored, state.OnServer
		s.LoginDelay, s.MinInterval = time.Duration(r.memory.pollState.Delay)*time.Second, r.memory.pollState.floor()
		s.Expire, s.Awaiting, s.Held, s.Problems = r.memory.pollState.Expire, r.memory.pollState.Awaiting, r.memory.pollState.Held, r.shownProblems(time.Time{})
		s.Doubtful = len(r.memory.doubts)
		s.Undeleted, s.UndeletedSaid = r.memory.pollState.Undeleted.N, r.memory.pollState.Undeleted.Said
		s.Deletes, s.DeletesTotal = r.memory.pollState.due(r.account.policy().String())
		r.lastLogin = time.Unix(r.memory.pollState.LastLogin+1, 0) // noted in whole seconds: rather late than early
		r.lastEnd = r.lastLogin
	})
	return nil
}

// remember writes down what is remembered of the account.
func (r *Runner) remember(ctx context.Context) error {
	ctx, cancel := supervise.Outlive(ctx, stopStore)
	defer cancel()
	r.memory.pollState.Issues = r.memory.problems.note()
	r.memory.state.Memory = r.memory.pollState.text()
	return r.store.SetAccountState(ctx, r.account.Name, r.memory.state)
}

// save remembers how the poll went.
func (r *Runner) save(ctx context.Context, total Result, pollErr error) error {
	halted := stopped(ctx, pollErr)
	ctx, cancel := supervise.Outlive(ctx, stopStore)
	defer cancel()
	r.memory.state.OnServer = total.OnServer
	switch {
	case pollErr == nil:
		r.memory.state.LastError, r.memory.state.LastSuccess = "", r.now()
		r.memory.pollState.New = false
		r.memory.pollState.lower(r.now())
	case !halted:
		r.memory.state.LastError = pollErr.Error()
	}
	if err := r.remember(ctx); err != nil {
		return err
	}
	state, err := r.store.AccountState(ctx, r.account.Name)
	if err != nil {
		return err
	}
	r.memory.state.Stored = state.Stored
	return nil
}

// report logs one line for a poll that changed something or did not go through,
// and for the first that goes through again.
func (r *Runner) report(f *pollRun, took time.Duration, next time.Time) {
	event, text := r.log.Debug(), "nothing new"
	logged := ""
	switch {
	case f.err != nil && f.err.Error() == r.memory.lastLogged:
		text, logged = "poll failed again", r.memory.lastLogged
	case f.err != nil:
		event, text, logged = r.log.Warn(), "poll failed", f.err.Error()
	case f.result.changed() || r.memory.lastLogged != "":
		event, text = r.log.Info(), "poll done"
	}
	r.memory.lastLogged = logged
	event.Err(f.err).Int("stored", f.result.Stored).Int("adopted", f.result.Adopted).Int("deleted", f.result.Deleted).
		Int("failed", f.result.Failed).Int64("size", f.result.Bytes).Int("sessions", f.result.Sessions).
		Dur("dur", took).Time("next", next).Msg(text)
}

// shownProblems are the problems of messages, and what else does not work as
// configured.
func (r *Runner) shownProblems(next time.Time) []Problem {
	var list []Problem
	if r.memory.unconfirmed > 0 {
		list = append(list, Problem{NextTry: next, Reason: fmt.Sprintf("the server did not confirm %d deletions; what is still there next time is deleted again", r.memory.unconfirmed)})
	}
	return slices.Concat(list, r.shownDoubts(next), r.memory.problems.list())
}
