package bridge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// How long the ends of a session may take once the context has ended: the
// message that is being received and QUIT, and the batch that is committed.
const (
	stopNet   = 3 * time.Second
	stopStore = 6 * time.Second
)

// pageSize is the number of messages from which on a session is followed
// by another although all that was listed has come: some servers list only
// the oldest few hundred (Gmail 250 conversations).
const pageSize = 200

// session is one POP3 session of a poll.
type session struct {
	runner  *Runner
	account *Account // this and the next four are the runner's
	store   Store
	memory  *memory
	log     zerolog.Logger
	now     func() time.Time
	meter   *meter
	client  *pop3.Client
	mailbox string          // where it is, for pollState.Mailbox
	net     context.Context // ends stopNet after the session's context
	disk    context.Context // ends stopStore after it

	listing    []plan.Listed
	complete   bool // the listing can be trusted to be whole
	trusted    int  // messages at its start that an anchor stands for
	ledger     []mailstore.LedgerEntry
	plan       *plan.Plan
	refusedNow map[problemID]bool     // deletions that were refused in this session
	noEffect   bool                   // DELE was sent before for a message that is there
	here       map[int]mailstore.Hash // what was fetched or compared, by number
	asked      bool                   // a person has asked for the poll
	wasted     bool                   // a message was retrieved, in full or in part, and is not stored
	told       bool                   // a message or a command that ends sessions was found, and is left out of the next
	changes    uint64                 // of the store, before the ledger was read
	asBefore   bool                   // there is nothing to do, and the ledger was not read
	result     Result
}

func newSession(r *Runner, m *meter) *session {
	return &session{runner: r, account: &r.account, store: r.store, memory: &r.memory, log: r.log, now: r.now, meter: m, plan: &plan.Plan{}}
}

// follow says when another session should follow in the same poll.
type follow uint8

const (
	enough follow = iota
	atOnce        // there may be more
	soon          // there is more: the server gives no more in one session, or, with an error, the session broke off
)

// run goes through one session.
func (s *session) run(ctx context.Context) (next follow, err error) {
	defer s.outlive(ctx)()
	s.result.Sessions = 1
	err = s.connect(ctx)
	if err == nil {
		defer s.client.Close()
		err = s.list(ctx, true)
	}
	if err != nil && s.avoid(err) {
		return soon, err
	}
	if err != nil {
		return enough, err
	}
	s.worked("UIDL")
	s.runner.update(func(st *Status) { st.OnServer = len(s.listing) })
	if s.asBefore {
		s.result.OnServer = len(s.listing)
		return enough, cmp.Or(s.quit(nil), ctx.Err())
	}
	if err := s.makePlan(ctx); err != nil {
		return afterError(err), err
	}
	next, err = s.work(ctx)
	s.result.OnServer = len(s.listing) - s.result.Deleted
	s.noteUnchanged(err)
	return next, err
}

// outlive makes the contexts that end after ctx.
func (s *session) outlive(ctx context.Context) (cancel func()) {
	var cancelNet, cancelDisk context.CancelFunc
	s.net, cancelNet = supervise.Outlive(ctx, stopNet)
	s.disk, cancelDisk = supervise.Outlive(ctx, stopStore)
	return func() { cancelNet(); cancelDisk() }
}

// compare plans the session.
func (s *session) compare(now time.Time) {
	ids := s.memory.pollState.IDs
	s.plan = plan.Make(plan.Input{
		Listing: s.listing, Ledger: s.ledger, Policy: s.account.policy(), Now: now,
		Partial: !s.complete, Trusted: s.trusted,
		Relists: s.memory.pollState.Relists, Unsure: ids.Numbered || ids.Reuses || !ids.Proven && !s.memory.contentMode,
		Hold: s.account.Shadow || !s.permitted(), Held: s.held,
	})
}

// makePlan finds out what to do, and writes down what was listed and what not.
func (s *session) makePlan(ctx context.Context) error {
	if err := s.inheritByContent(ctx); err != nil {
		return err
	}
	s.memory.doubting = s.memory.doubting || slices.ContainsFunc(s.ledger, func(e mailstore.LedgerEntry) bool { return e.Doubt != mailstore.NoDoubt })
	if err := s.handleServerChange(ctx); err != nil {
		return err
	}
	now := s.now()
	s.compare(now)
	if s.plan.Renumbered {
		if err := s.readopt(ctx); err != nil {
			return err
		}
		s.compare(now)
	}
	if same, err := s.verifyAnchor(ctx); err != nil {
		return err
	} else if same {
		s.trusted = s.memory.pollState.Anchor.Num
		s.compare(now)
	}
	marks := s.plan.Actions.Seen
	if s.complete {
		marks = append(marks, s.plan.Actions.Absent...)
		for _, e := range s.plan.Actions.Forget {
			e.State = mailstore.Gone
			marks = append(marks, e)
		}
		s.memory.problems.keepOnly(s.plan.Actions.Fetch)
	}
	s.plan.Actions.Fetch, _ = s.memory.problems.order(s.newFirst(s.plan.Actions.Fetch), now)
	slices.SortStableFunc(s.plan.Actions.Fetch, func(a, b plan.Fetch) int { return s.risk(a) - s.risk(b) })
	if len(marks) == 0 {
		return nil
	}
	err := s.store.UpdateLedger(ctx, s.account.Name, marks)
	if len(s.plan.Actions.Forget) > 0 {
		failpoint.Hit(failpoint.Forgotten)
	}
	return err
}

// risk orders what is fetched: first what is least likely to break the connection.
func (s *session) risk(w plan.Fetch) int {
	switch {
	case s.oversized(w):
		return 2
	case s.memory.careful[idOf(w.Listed)]:
		return 1
	}
	return 0
}

// readopt gives the rows of renumbered messages their new ids.
func (s *session) readopt(ctx context.Context) (err error) {
	s.meter.phase(PhaseCompare)
	moves := s.plan.Actions.Readopt
	s.log.Info().Int("messages", len(moves)).Int("fetched", len(s.plan.Actions.Fetch)).
		Msg("server renumbered its messages; those of unique size were recognised, the others are fetched to compare them")
	if err := s.store.Readopt(ctx, s.account.Name, moves); err != nil {
		return err
	}
	s.result.Adopted += len(moves)
	s.ledger, err = s.store.Ledger(ctx, s.account.Name)
	return err
}

// work fetches, deletes and sends QUIT. Without QUIT nothing is deleted, with
// it perhaps all that was retrieved (RFC 2449 section 6.7, EXPIRE 0): so there
// is none when something of that is not stored. What was to be deleted waits
// for the next session then.
func (s *session) work(ctx context.Context) (follow, error) {
	limited, err := s.fetch(ctx)
	if err != nil {
		if !s.wasted {
			_ = s.client.Quit(s.net) // nothing was deleted that it could confirm
		}
		return afterError(err), err
	}
	var marked []mailstore.LedgerEntry
	if !s.wasted {
		if marked, err = s.delete(ctx); err == nil {
			err = s.quit(marked)
		}
	}
	if err != nil {
		return afterError(err), err
	}
	s.chooseAnchor(marked[:s.result.Deleted])
	s.noteDue(marked[:s.result.Deleted])
	switch {
	case limited, s.asked && s.wasted && s.told && len(s.plan.Actions.Delete) > 0: // what is due is deleted without what was wasted
		return soon, ctx.Err()
	case s.result.Stored >= pageSize:
		// More may show. Where the next login has to wait that is left to the
		// schedule, otherwise it is looked at once.
		if s.memory.pollSoon = s.runner.Status().MinInterval > 0; !s.memory.pollSoon {
			return atOnce, ctx.Err()
		}
	}
	return enough, ctx.Err()
}

// retryError ended a session that another one should follow: the connection
// was lost, or the store did not take a batch.
type retryError struct{ error }

func (e *retryError) Unwrap() error { return e.error }

func afterError(err error) follow {
	if errors.As(err, new(*retryError)) {
		return soon
	}
	return enough
}
