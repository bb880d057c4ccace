package bridge

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Runner polls one account.
type Runner struct {
	account Account
	store   Store
	log     zerolog.Logger
	now     func() time.Time
	rand    func() float64
	changed func(Status)
	life    context.Context // ends with End
	end     context.CancelFunc
	settle  time.Duration // least time between two sessions of one poll

	wake chan struct{} // capacity 1; Serve looks at the flight
	turn chan struct{} // capacity 1; full while a poll, a preview or Confirm runs

	mu        sync.Mutex
	serving   bool
	flight    *flight // the poll that is running, or waiting for Serve to run it
	status    Status
	lastLogin time.Time               // when the last one began
	lastEnd   time.Time               // of the last poll
	tried     [sha256.Size]byte       // the secret of the last login, see digest
	longPause bool                    // logins fail and are tried rarely
	drop      context.CancelCauseFunc // ends the session that runs, or the wait for the next; nil: there is none

	memory memory // of who has the turn
}

// memory is what a runner knows from earlier polls. Only who has the turn
// touches it.
type memory struct {
	loaded       bool
	state        mailstore.AccountState
	notes        notes // what of this is remembered over a restart
	failures     int   // polls in a row
	problems     problems
	suspects     map[problemID]bool // messages of the batch that the store did not take
	unconfirmed  int                // deletions the last QUIT did not confirm
	contentMode  bool               // the server gives no UIDL
	noPipelining bool
	bareLF       bool                    // the server ends lines with a bare LF
	tryCheck     bool                    // the answer to a check was wrong: see learnCheck
	careful      map[problemID]bool      // messages to ask for alone: it was not clear which was not whole
	doubting     bool                    // some row was in doubt in this poll
	doubts       []mailstore.LedgerEntry // rows on the server that may not be whole
	hurry        bool                    // more is to be had as soon as the server lets us in again
	refusedIDs   map[problemID]bool      // deletions that the server has refused; nil: not known
	trial        string                  // a command that the next session goes without
	lostAt       string                  // the command at which the last one hung up before the listing
	lastLogged   string
	unchanged    unchanged
}

// flight is one poll and those who wait for it.
type flight struct {
	started bool // guarded by Runner.mu
	asked   bool // for by a person, before it started; guarded by Runner.mu
	done    chan struct{}
	result  Result // result and err are for the time after done
	err     error

	mu       sync.Mutex
	watchers []*func(Progress)
	last     Progress
}

// NewRunner returns a runner that does nothing yet.
func NewRunner(a Account, s Store, o Options) *Runner {
	o = o.withDefaults()
	life, end := context.WithCancel(context.Background())
	return &Runner{
		life: life, end: end,
		account: a, store: s, now: o.Now, rand: o.Rand, changed: o.Changed, settle: continueAfter,
		log:    o.Log.With().Str("component", "bridge").Str("account", a.Name).Logger(),
		wake:   make(chan struct{}, 1),
		turn:   make(chan struct{}, 1),
		status: Status{Account: a.Name, State: Idle},
	}
}

// Status says how the account is doing. It never waits for the network.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Problems = slices.Clone(s.Problems)
	return s
}

// Serve polls at once, or as soon as the server allows after the last login of
// an earlier run, and then on schedule until ctx ends. It then commits what has
// been received and takes leave of the server, unless a message was on its way,
// which takes a few seconds at most (see stopNet and stopStore).
func (r *Runner) Serve(ctx context.Context) error {
	r.mu.Lock()
	if r.serving {
		r.mu.Unlock()
		return fault.New(fault.Conflict, "account "+r.account.Name+" is being served already", "")
	}
	r.serving = true
	r.mu.Unlock()
	defer r.retire()
	r.resumeSchedule(ctx)
	for {
		if !r.rest(ctx) {
			return nil
		}
		if wait := r.takeOff(ctx); wait != nil {
			select {
			case <-wait:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// takeTurn waits until nobody else uses the mailbox.
func (r *Runner) takeTurn(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		if ctx.Err() == nil && r.life.Err() == nil {
			return nil
		}
		r.endTurn()
	case <-ctx.Done():
	}
	if r.life.Err() != nil { // which also ends the contexts of untilEnd
		return errOver
	}
	return ctx.Err()
}

var errOver = fault.New(fault.Temporary, "the account was stopped or changed", "try it again")

// End ends whatever the runner does, and waits for that. From then on it does
// nothing: another runner may have taken up what the store remembers of the account.
// Serve has ended before.
func (r *Runner) End() {
	r.end()
	r.turn <- struct{}{}
	r.endTurn()
}

// untilEnd returns a context that ends with ctx and at End.
func (r *Runner) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func (r *Runner) endTurn() { <-r.turn }

// takeOff runs the poll that waits for Serve, or a new one. When somebody runs
// one already it returns the end of that.
func (r *Runner) takeOff(ctx context.Context) <-chan struct{} {
	r.mu.Lock()
	if r.flight == nil {
		r.flight = newFlight()
	}
	f := r.flight
	if f.started {
		r.mu.Unlock()
		return f.done
	}
	f.started = true
	r.mu.Unlock()
	r.fly(ctx, f)
	return nil
}

// rest waits until it is time for the next poll, and reports false when ctx
// ended first.
func (r *Runner) rest(ctx context.Context) bool {
	for {
		r.mu.Lock()
		pending := r.flight != nil
		next, check := r.status.NextPoll, r.longPause && r.account.SecretEvery > 0
		r.mu.Unlock()
		if pending {
			return true
		}
		wait := next.Sub(r.now())
		if check = check && wait > r.account.SecretEvery; check {
			wait = r.account.SecretEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			if !check || r.secretChanged(ctx) {
				return true
			}
		case <-r.wake: // look again: a flight waits, or the schedule changed
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// retire ends Serve: who waits for a poll that it did not start waits in vain.
func (r *Runner) retire() {
	r.mu.Lock()
	r.serving = false
	f := r.flight
	if f == nil || f.started {
		r.mu.Unlock()
		return
	}
	r.flight = nil
	r.mu.Unlock()
	f.err = fault.New(fault.Temporary, "the account is being stopped", "")
	close(f.done)
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
	f := r.flight
	own := false
	if f == nil {
		f = newFlight()
		r.flight = f
		f.asked = true
		own = !r.serving
		f.started = own
	}
	if !f.started { // afterwards fly reads it without the lock
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
		r.fly(ctx, f)
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

// fly runs one poll from its start to the new schedule.
func (r *Runner) fly(ctx context.Context, f *flight) {
	m := &meter{emit: f.emit}
	m.p.Account = r.account.Name
	if f.err = r.takeTurn(ctx); f.err != nil {
		r.update(func(*Status) { r.flight = nil })
		m.done(f.err)
		close(f.done)
		return
	}
	r.update(func(s *Status) { s.State, s.NextPoll = Polling, time.Time{} })
	started := time.Now()
	f.result, f.err = r.poll(ctx, m, f.asked)
	r.land(ctx, f, time.Since(started))
	if r.life.Err() != nil && stopped(ctx, f.err) {
		f.err = errOver
	}
	r.endTurn()
	m.done(f.err)
	close(f.done)
	r.nudge() // Serve may be resting on the old schedule
}

// land turns the outcome of a poll into the new status and schedule.
func (r *Runner) land(ctx context.Context, f *flight, took time.Duration) {
	stopped := stopped(ctx, f.err)
	switch {
	case f.err == nil:
		r.memory.failures = 0
	case !stopped:
		r.memory.failures++
	}
	every := r.account.PollEvery
	if r.memory.hurry && f.err == nil {
		every = continueAfter
	}
	r.memory.hurry = false
	wait := nextPoll(every, r.memory.notes.floor(), r.memory.failures, r.rand())
	now := r.now()
	if f.err != nil {
		wait = max(wait, r.nextLogin().Sub(now))
	}
	if !stopped {
		r.report(f, took, now.Add(wait))
	}
	r.update(func(s *Status) {
		r.flight = nil
		r.lastEnd = now
		s.State, s.NextPoll = Idle, now.Add(wait)
		s.LastSuccess, s.Stored, s.OnServer = r.memory.state.LastSuccess, r.memory.state.Stored, r.memory.state.OnServer
		s.Awaiting, s.Held, s.MinInterval = r.memory.notes.Awaiting, r.memory.notes.Held, r.memory.notes.floor()
		s.Undeleted, s.UndeletedSaid = r.memory.notes.Undeleted.N, r.memory.notes.Undeleted.Said
		s.Deletes, s.DeletesTotal = r.memory.notes.due(r.account.policy().String())
		s.Problems, s.Doubtful = r.shownProblems(s.NextPoll), len(r.memory.doubts)
		if !stopped {
			s.Err, s.LastError, s.Hint, s.Kind = f.err, "", fault.Hint(f.err), fault.Internal
		}
		if f.err != nil && !stopped {
			s.LastError, s.Kind = f.err.Error(), fault.KindOf(f.err)
			s.State = Backoff
		}
		if r.longPause = r.memory.notes.longPause(); r.longPause && !stopped {
			s.Hint = r.pauseHint(f.err, s.NextPoll)
		}
	})
}

// stopped reports whether a poll ended only because its context did.
func stopped(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// update changes the status and tells about it.
func (r *Runner) update(change func(*Status)) {
	r.mu.Lock()
	change(&r.status)
	s := r.status
	s.Problems = slices.Clone(s.Problems)
	r.mu.Unlock()
	r.changed(s)
}

func newFlight() *flight { return &flight{done: make(chan struct{})} }

// watch adds a consumer of progress, which learns at once how far the poll is,
// and returns what removes it.
func (f *flight) watch(progress func(Progress)) (stop func()) {
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

func (f *flight) emit(p Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = p
	for _, w := range f.watchers {
		(*w)(p)
	}
}
