package outbox

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/outbox/plan"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Runner sends the mail of one account.
type Runner struct {
	account Account
	queue   Queue
	o       Options
	log     zerolog.Logger
	dial    func(context.Context) (client, error)

	wake chan struct{} // capacity 1

	mu      sync.Mutex
	serving bool
	status  Status
	pause   plan.Pause
	ending  bool // Finish was called
	online  bool // mail of the account was fetched while its server for sending was out of reach
	// dropping ends what the session does now; nil where nothing may: no session is used, or
	// the final dot comes next.
	dropping context.CancelFunc
	asked    bool                 // for a try by a person: no limit of a day keeps the next one
	stale    bool                 // the session may be of a connection that is gone
	handing  mailstore.OutgoingID // what is handed over, until it is written down what came of it; 0: nothing
	// extensions is what the server announced last, also before a restart; nil: nobody knows.
	extensions *smtp.Extensions

	// The rest belongs to Serve.
	session    client    // nil: there is none
	used       bool      // session has dealt with a message
	lastUsed   time.Time // when it has, or was opened
	tried      digested  // digest of the secret that the last login used
	checked    time.Time // when it was last asked whether there is another
	pace       plan.Pace
	learned    plan.Learned
	unrecorded func(context.Context) error    // what the store has not taken yet; nil: nothing
	restsFor   error                          // what the account rests for, also while nothing waits
	ailing     time.Time                      // since when the account has trouble that does not pass by itself
	noticed    bool                           // a person was told
	loaded     bool                           // what the rest says is that of the store
	saved      string                         // the memory as the store has it
	toldOf     []mailstore.OutgoingID         // see memory.Told
	late       []mailstore.OutgoingID         // see memory.Late
	reported   map[mailstore.OutgoingID][]int // see memory.Reported; nil: all were
	untold     bool                           // the last round could not tell something
	stuck      []mailstore.OutgoingID         // see Status
	// troubled are the messages that met trouble of the account. It is true where the server
	// has taken another since: then it is no trouble of the account.
	troubled  map[mailstore.OutgoingID]bool
	byMessage bool // it is a message that met the trouble last, not a login
}

// NewRunner returns a runner that does nothing yet.
func NewRunner(a Account, q Queue, o Options) *Runner {
	if a.Limits.PerMinute <= 0 {
		a.Limits.PerMinute = perMinute
	}
	o = o.withDefaults()
	if a.Sends == nil {
		a.Sends = func(string) bool { return true }
	}
	return &Runner{
		account: a, queue: q, o: o, troubled: make(map[mailstore.OutgoingID]bool),
		log:    o.Log.With().Str("component", "outbox").Str("account", a.Name).Logger(),
		dial:   func(ctx context.Context) (client, error) { return smtp.Dial(ctx, a.Server) },
		wake:   make(chan struct{}, 1),
		status: Status{Account: a.Name, State: Idle},
	}
}

// Status says how the account's mail is doing. It never waits.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Extensions is what the server of the account announced last: nil before the first
// session ever.
func (r *Runner) Extensions() *smtp.Extensions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.extensions
}

// Handing is the message that is being handed over: what came of it is not written down yet.
// 0: none.
func (r *Runner) Handing() mailstore.OutgoingID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handing
}

func (r *Runner) hands(id mailstore.OutgoingID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handing = id
}

// Wake tells that a poll of the account went well: what waited for the network is tried
// soon. It returns at once.
func (r *Runner) Wake() {
	r.nudge(func() {
		r.online = r.online || r.pause.Trouble == plan.Offline
		r.pause.Wake()
	})
}

// SignedIn tells that a person has signed the account in: what waited for that is tried soon.
// It returns at once.
func (r *Runner) SignedIn() {
	r.nudge(func() {
		r.pause.Wake() // there was no token, maybe
		r.pause.NewSecret(false, r.o.Now())
	})
}

// Resume tells that the computer was asleep, or the network changed, so that no connection
// from before can be relied on: what waited for the network is tried soon, a refused login
// every 15 minutes at most, and what is being sent is begun anew with a session of its own.
// What has come to the final dot waits for its answer, which could not be known otherwise. It
// returns at once.
func (r *Runner) Resume() {
	r.nudge(func() {
		r.pause.Resume()
		r.stale = true
		if r.dropping != nil {
			r.dropping()
		}
	})
}

// Retry makes the account try at once, whatever it rests for. It returns at once.
func (r *Runner) Retry() { r.nudge(func() { r.pause.End(); r.asked = true }) }

// Look makes the account look at its queue: other mail may leave by it now. It returns at
// once.
func (r *Runner) Look() { r.nudge(func() {}) }

// Finish makes Serve return without beginning anything more. What has come to the final dot
// has its answer first, for as long as the server may take for it. It returns at once.
func (r *Runner) Finish() {
	r.nudge(func() {
		r.ending = true
		if r.dropping != nil {
			r.dropping()
		}
	})
}

func (r *Runner) finishing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ending
}

func (r *Runner) nudge(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // a wake-up is on its way
	}
}

// Serve sends what is due until ctx ends, or Finish is called. When ctx ends, what is being handed over has 3 s to come
// to its end, and 6 s to be written down. Another runner for the account may serve only
// after that: it takes what is being handed over for given up, but for what Options.Elsewhere
// has.
func (r *Runner) Serve(ctx context.Context) error {
	r.mu.Lock()
	if r.serving {
		r.mu.Unlock()
		return fault.New(fault.Conflict, "account "+r.account.Name+" is being served already", "")
	}
	r.serving = true
	r.mu.Unlock()
	defer func() {
		r.hangUp(ctx)
		longer, cancel := supervise.Outlive(ctx, stopStore)
		defer cancel()
		if err := r.remember(longer); err != nil {
			r.log.Warn().Err(err).Msg("how sending goes could not be written down")
		}
		r.update(func(s *Status) { r.serving, r.handing = false, 0 })
	}()
	changes := r.queue.OutgoingChanges()
	for ctx.Err() == nil && !r.finishing() {
		r.untold = false
		next, err := r.round(ctx)
		if err != nil {
			r.log.Error().Err(err).Msg("queue not usable")
			r.update(func(s *Status) { s.setErr(err); s.State, s.Next = Paused, r.o.Now().Add(storeRetry) })
			next = r.o.Now().Add(storeRetry)
			r.hangUp(ctx)
		}
		if soon := r.o.Now().Add(storeRetry); r.untold && (next.IsZero() || soon.Before(next)) {
			next = soon
		}
		r.rest(ctx, next, changes)
	}
	return nil
}

// keepFor is how long a session is kept where nothing is due: the next message of a burst
// comes before that, or the same person writes another one.
const keepFor = 5 * time.Second

// storeRetry is the time until a store that failed is tried again.
const storeRetry = time.Minute

// rest waits until next, or for a change. A zero time never comes.
func (r *Runner) rest(ctx context.Context, next time.Time, changes <-chan struct{}) {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(next.Sub(r.o.Now()))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-changes:
	case <-r.wake:
	case <-ctx.Done():
	}
}

// round sends at most one message, and returns when the next round is due; changes of
// the queue and wake-ups aside.
func (r *Runner) round(ctx context.Context) (next time.Time, err error) {
	if err := r.load(ctx); err != nil {
		return next, err
	}
	if err := r.record(ctx); err != nil { // or a person may be asked about what is known
		return next, err
	}
	elsewhere := r.o.Elsewhere() // before the queue is read: what came of one is written down first
	queue, err := r.queue.Outgoing(ctx)
	if err != nil {
		return next, err
	}
	queue = slices.DeleteFunc(queue, func(m mailstore.Outgoing) bool { return m.Account != r.account.Name })
	if err := r.recover(ctx, queue, elsewhere); err != nil {
		return next, err
	}
	r.doubt(ctx, queue)
	r.refusals(ctx, queue)
	queue = slices.DeleteFunc(queue, func(m mailstore.Outgoing) bool { return m.State == mailstore.Waiting && !r.account.Sends(m.From) })
	r.forget(queue)
	if err := r.remember(ctx); err != nil {
		return next, err
	}
	now := r.o.Now()
	due, at := plan.Next(queue, now)
	if due == nil {
		end := r.lastUsed.Add(keepFor)
		if !now.Before(end) || end.Sub(now) > keepFor { // the clock was set back
			r.hangUp(ctx)
		}
		r.show(queue, at, false)
		if r.session != nil && (at.IsZero() || end.Before(at)) {
			return end, nil
		}
		return at, nil
	}
	if until, look := r.resting(ctx, now); until.After(now) && !r.tries(due) {
		r.hangUp(ctx)
		r.show(queue, until, true)
		r.notice(ctx, queue)
		return look, nil
	}
	asked := r.isAsked()
	if free, daily := r.pace.Free(r.limits(now), now); free.After(now) && !(daily && asked) {
		if daily {
			r.hangUp(ctx)
			r.update(func(s *Status) { s.setErr(dailyLimit(r.limits(now))) })
		}
		r.show(queue, free, daily)
		return free, nil
	}
	r.show(queue, now, false)
	r.send(ctx, due)
	return now, nil
}

// recover settles messages that are being handed over by no one: by a runner before
// this one, that could not write down what came of it.
func (r *Runner) recover(ctx context.Context, queue []mailstore.Outgoing, elsewhere []mailstore.OutgoingID) error {
	for _, m := range queue {
		if m.State != mailstore.Handing || slices.Contains(elsewhere, m.ID) {
			continue
		}
		err := r.queue.Attempted(ctx, m.ID, mailstore.Attempt{Unknown: true, Counts: true, Error: "the message was handed over, but the answer of the server is not known"})
		if err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

// gone reports whether a message is no longer what it was: a person has cancelled
// or held it.
func gone(err error) bool { return fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) }

// limits are those of the account now.
func (r *Runner) limits(now time.Time) plan.Limits { return r.account.Limits.With(r.learned, now) }

// isAsked reports whether a person wants a try, once.
func (r *Runner) isAsked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = false
	return asked
}

func dailyLimit(l plan.Limits) error {
	return fault.New(fault.Temporary, "the provider takes "+l.String()+" in 24 hours, and has got as many", "the rest is sent as soon as that allows it; `popbridge outbox retry --all` tries at once")
}
