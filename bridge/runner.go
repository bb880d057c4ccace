package bridge

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/fault"
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
	settle  time.Duration // the shortest pause between two sessions of one poll

	wake chan struct{} // capacity 1; Serve looks at current
	turn chan struct{} // capacity 1; full while a poll, a preview or Confirm runs

	mu        sync.Mutex
	serving   bool
	current   *pollRun // the poll that is running, or waiting for Serve to run it
	status    Status
	lastLogin time.Time               // when it began
	lastEnd   time.Time               // of the last poll
	tried     [sha256.Size]byte       // digest of the secret that the last login used
	token     bool                    // it is a token
	longPause bool                    // logins fail and are tried rarely
	drop      context.CancelCauseFunc // ends the session that runs, or the wait for the next; nil: there is none

	memory memory // used only by who holds turn
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
	if r.current != nil {
		s.Progress = r.current.progress()
	}
	return s
}

// Serve polls at once, or as soon as the server allows after the last login of
// an earlier run, and then on schedule until ctx ends. Then it commits what has been
// received and, unless a message is being transferred, sends QUIT. That takes a few
// seconds at most (see stopNet and stopStore).
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
		if wait := r.runOrJoin(ctx); wait != nil {
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

// takeTurn waits until no one else uses the mailbox.
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
		return errEnded
	}
	return ctx.Err()
}

var errEnded = fault.New(fault.Temporary, "the account was stopped or changed", "try it again")

// End ends whatever the runner does, and waits for that. From then on it does
// nothing: another runner may be working with what the store remembers of the
// account. Call it only after Serve has returned.
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

// rest waits until it is time for the next poll, and reports false when ctx
// ended first.
func (r *Runner) rest(ctx context.Context) bool {
	for {
		r.mu.Lock()
		pending := r.current != nil
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
		case <-r.wake: // look again: a poll waits, or the schedule changed
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
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
