package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// pollRun is one poll and those who wait for it.
type pollRun struct {
	started bool // guarded by Runner.mu
	asked   bool // for by a person, before it started; guarded by Runner.mu
	done    chan struct{}
	result  Result // result and err are for the time after done
	err     error

	mu       sync.Mutex
	watchers []*func(Progress)
	last     Progress
}

func newPollRun() *pollRun { return &pollRun{done: make(chan struct{})} }

// watch adds a consumer of progress, which learns at once how far the poll is,
// and returns what removes it.
func (f *pollRun) watch(progress func(Progress)) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &progress
	f.watchers = append(f.watchers, w)
	if f.last.Phase != "" {
		progress(f.last)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers = slices.DeleteFunc(f.watchers, func(o *func(Progress)) bool { return o == w })
	}
}

// progress is how far the poll is, nil before it has begun.
func (f *pollRun) progress() *Progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last.Phase == "" || f.last.Done {
		return nil
	}
	now := f.last
	return &now
}

func (f *pollRun) emit(p Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = p
	for _, w := range f.watchers {
		(*w)(p)
	}
}

// Poll polls now and waits for the end of it. It joins a poll that is running,
// and its result is the joined poll's. progress may be nil; it is called
// synchronously, must return quickly, and is not called after Poll returned.
//
// While Serve runs, the poll belongs to Serve and goes on when ctx ends.
// Otherwise it is Poll's own and ends with ctx, as Serve does.
//
// Poll tries at once what waits: a refused password, messages that could not be
// fetched, refused deletions. It does not wait for the server's
// LOGIN-DELAY.
func (r *Runner) Poll(ctx context.Context, progress func(Progress)) (Result, error) {
	r.mu.Lock()
	f := r.current
	own := false
	if f == nil {
		f = newPollRun()
		r.current = f
		f.asked = true
		own = !r.serving
		f.started = own
	}
	if !f.started { // afterwards runPoll reads it without the lock
		f.asked = true
	}
	serving, asked := r.serving, f.asked
	r.mu.Unlock()
	if progress != nil {
		defer f.watch(progress)()
	}
	if own {
		ctx, cancel := r.untilEnd(ctx)
		defer cancel()
		r.runPoll(ctx, f)
	} else if serving {
		r.nudge()
	}
	select {
	case <-f.done:
		if s := r.Status(); asked || f.err == nil && len(s.Problems) == 0 && s.Undeleted == 0 {
			return f.result, f.err
		}
		// The poll was one of the schedule, which leaves out what waits.
		again, err := r.Poll(ctx, progress)
		again.Stored, again.Deleted = again.Stored+f.result.Stored, again.Deleted+f.result.Deleted
		return again, err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// runOrJoin runs the poll that waits for Serve, or a new one. When someone runs
// one already it returns the end of that.
func (r *Runner) runOrJoin(ctx context.Context) <-chan struct{} {
	r.mu.Lock()
	if r.current == nil {
		r.current = newPollRun()
	}
	f := r.current
	if f.started {
		r.mu.Unlock()
		return f.done
	}
	f.started = true
	r.mu.Unlock()
	r.runPoll(ctx, f)
	return nil
}

// retire marks Serve as ended: callers that wait for a poll not started yet get an
// error.
func (r *Runner) retire() {
	r.mu.Lock()
	r.serving = false
	f := r.current
	if f == nil || f.started {
		r.mu.Unlock()
		return
	}
	r.current = nil
	r.mu.Unlock()
	f.err = fault.New(fault.Temporary, "the account is being stopped", "")
	close(f.done)
}

// runPoll runs one poll from its start to the new schedule.
func (r *Runner) runPoll(ctx context.Context, f *pollRun) {
	m := &meter{emit: f.emit}
	m.p.Account = r.account.Name
	if f.err = r.takeTurn(ctx); f.err != nil {
		r.update(func(*Status) { r.current = nil })
		m.done(f.err)
		close(f.done)
		return
	}
	r.update(func(s *Status) { s.State, s.NextPoll = Polling, time.Time{} })
	started := time.Now()
	f.result, f.err = r.poll(ctx, m, f.asked)
	r.finishPoll(ctx, f, time.Since(started))
	if r.life.Err() != nil && stopped(ctx, f.err) {
		f.err = errEnded
	}
	r.endTurn()
	m.done(f.err)
	close(f.done)
	r.nudge() // Serve may be resting on the old schedule
}

// finishPoll turns the outcome of a poll into the new status and schedule.
func (r *Runner) finishPoll(ctx context.Context, f *pollRun, took time.Duration) {
	stopped := stopped(ctx, f.err)
	switch {
	case f.err == nil:
		r.memory.failures = 0
	case !stopped:
		r.memory.failures++
	}
	every := r.account.PollEvery
	if r.memory.pollSoon && f.err == nil {
		every = continueAfter
	}
	r.memory.pollSoon = false
	wait := nextPoll(every, r.memory.pollState.floor(), r.memory.failures, r.rand())
	now := r.now()
	if f.err != nil {
		wait = max(wait, r.nextLogin().Sub(now))
	}
	if !stopped {
		r.report(f, took, now.Add(wait))
	}
	r.update(func(s *Status) {
		r.current = nil
		r.lastEnd = now
		s.State, s.NextPoll = Idle, now.Add(wait)
		s.LastSuccess, s.Stored, s.OnServer = r.memory.state.LastSuccess, r.memory.state.Stored, r.memory.state.OnServer
		s.Awaiting, s.Held, s.MinInterval = r.memory.pollState.Awaiting, r.memory.pollState.Held, r.memory.pollState.floor()
		s.Undeleted, s.UndeletedSaid = r.memory.pollState.Undeleted.N, r.memory.pollState.Undeleted.Said
		s.Deletes, s.DeletesTotal = r.memory.pollState.due(r.account.policy().String())
		s.Problems, s.Doubtful = r.shownProblems(s.NextPoll), len(r.memory.doubts)
		if !stopped {
			s.Err, s.LastError, s.Hint, s.Kind = f.err, "", fault.Hint(f.err), fault.Internal
		}
		if f.err != nil && !stopped {
			s.LastError, s.Kind = f.err.Error(), fault.KindOf(f.err)
			s.State = Backoff
		}
		if r.longPause = r.memory.pollState.longPause(); r.longPause && !stopped {
			s.Hint = r.pauseHint(f.err, s.NextPoll)
		}
	})
}

// stopped reports whether a poll ended only because its context did.
func stopped(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err())
}
