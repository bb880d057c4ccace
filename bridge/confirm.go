package bridge

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Preview is what a poll would do on the server.
type Preview struct {
	Fetch        int             `json:"fetch"`         // messages to retrieve
	Delete       []PreviewDelete `json:"-"`             // in the order of the server
	Incomplete   []PreviewDelete `json:"-"`             // stay until ConfirmIncomplete: they may not be whole here
	Kept         int             `json:"kept"`          // listed messages that stay
	Policy       string          `json:"policy"`        // in words
	NeedsConfirm bool            `json:"needs_confirm"` // the deletions wait for Confirm
}

// PreviewDelete is a message that would be deleted on the server, or may once it is allowed.
type PreviewDelete struct {
	UIDL     string
	Size     int64          // as LIST announced it
	StoredAt time.Time      // zero: not stored here yet, it is fetched first
	Hash     mailstore.Hash // of what is stored
	Why      string         // see plan.Delete; "": it was noted by an earlier run
	Reason   string
}

// Preview looks at the server and says what a poll would do. It retrieves and
// deletes nothing and changes nothing in the ledger. It waits for the end of a
// poll that is running.
func (r *Runner) Preview(ctx context.Context) (preview Preview, err error) {
	return r.PreviewAs(ctx, r.account)
}

// PreviewAs is Preview for another policy of the account: what its polls would do if its
// Keep, DeleteExpunged, ExpungeGrace, Shadow and ConfirmDeletes were those of as. All else
// is that of the runner.
func (r *Runner) PreviewAs(ctx context.Context, as Account) (preview Preview, err error) {
	account := r.account
	account.Keep, account.DeleteExpunged, account.ExpungeGrace = as.Keep, as.DeleteExpunged, as.ExpungeGrace
	account.Shadow, account.ConfirmDeletes = as.Shadow, as.ConfirmDeletes
	err = r.look(ctx, func(ctx context.Context, s *session) (err error) {
		s.account = &account
		preview, err = s.preview(ctx)
		return err
	})
	return preview, err
}

// look runs a session that only looks. It waits for the end of a poll that is
// running.
func (r *Runner) look(ctx context.Context, visit func(context.Context, *session) error) error {
	ctx, cancel := r.untilEnd(ctx)
	defer cancel()
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	defer r.endTurn()
	if err := r.load(ctx); err != nil {
		return err
	}
	var err error
	for resumed := true; resumed && ctx.Err() == nil; { // a connection that Resume dropped is made again
		s := newSession(r, &meter{emit: func(Progress) {}})
		_, resumed, err = r.droppable(ctx, func(ctx context.Context) (follow, error) { return enough, visit(ctx, s) })
	}
	if saveErr := r.remember(ctx); err == nil {
		err = saveErr // of a refusal, or of the interval
	}
	r.visited()
	return err
}

func (s *session) preview(ctx context.Context) (Preview, error) {
	defer s.outlive(ctx)()
	if err := s.connect(ctx); err != nil {
		return Preview{}, err
	}
	defer s.client.Close()
	if err := s.list(ctx, false); err != nil {
		return Preview{}, err
	}
	if s.anchored() {
		s.trusted = s.memory.pollState.Anchor.Num // most likely, and nothing is done about it
	}
	s.compare(s.now())
	_ = s.client.Quit(s.net) // nothing was deleted that it could confirm
	return s.previewPlan(), nil
}

// previewPlan says what the plan comes to, once all that is to be fetched is here.
func (s *session) previewPlan() Preview {
	out := Preview{Fetch: len(s.plan.Actions.Fetch), Policy: s.account.policy().String()}
	for _, d := range s.plan.DueOnceFetched(s.now()) {
		out.Delete = append(out.Delete, previewOf(d))
	}
	for _, e := range s.memory.doubts {
		out.Incomplete = append(out.Incomplete, previewOf(plan.Delete{Entry: e, Why: "incomplete", Reason: shortReason(e)}))
	}
	out.Kept = len(s.listing) - len(out.Delete)
	out.NeedsConfirm = len(out.Delete) > 0 && !s.account.Shadow && !s.runner.permits(s.account)
	return out
}

func previewOf(d plan.Delete) PreviewDelete {
	return PreviewDelete{UIDL: d.Entry.UIDL, Size: d.Entry.ListSize, StoredAt: d.Entry.StoredAt, Hash: d.Entry.Hash, Why: d.Why, Reason: d.Reason}
}

// maxShownDeletes is how many deletions a status names.
const maxShownDeletes = 25

// noteDue notes what is to be deleted at the next poll: what waits for Confirm,
// else what is due by then. What this session has deleted is not among it.
func (s *session) noteDue(deleted []mailstore.LedgerEntry) {
	s.memory.pollState.Due, s.memory.pollState.DueTotal, s.memory.pollState.DuePolicy = nil, 0, s.account.policy().String()
	if s.account.Shadow {
		return
	}
	at := s.now()
	if s.runner.permitted() {
		at = at.Add(s.account.PollEvery)
	}
	gone := make(map[mailstore.Origin]bool, len(deleted))
	for _, e := range deleted {
		gone[e.Origin] = true
	}
	for _, d := range s.plan.Due(at) {
		if gone[d.Entry.Origin] {
			continue
		}
		if s.memory.pollState.DueTotal++; len(s.memory.pollState.Due) < maxShownDeletes {
			s.memory.pollState.Due = append(s.memory.pollState.Due, previewOf(d).note())
		}
	}
}

// Confirm allows the deletions that the policy of the account brings about,
// until the policy goes further; not those of ConfirmIncomplete. It waits for the end of a
// poll that is running; the next poll deletes, which Serve begins as soon as the server
// allows.
func (r *Runner) Confirm(ctx context.Context) error {
	if err := r.takeTurn(ctx); err != nil {
		return err
	}
	defer r.endTurn()
	if err := r.load(ctx); err != nil {
		return err
	}
	r.memory.pollState.Confirmed = r.account.granted()
	r.memory.pollState.Awaiting, r.memory.pollState.Held = 0, false
	if err := r.remember(ctx); err != nil {
		return err
	}
	r.update(func(s *Status) {
		s.Awaiting, s.Held = 0, false
	})
	r.soon()
	return nil
}

// ConfirmIncomplete has messages that may not be whole here deleted as others are, once
// they are due: those with the ids seen, nil for all. It reports how many there were, and
// waits as Confirm does.
func (r *Runner) ConfirmIncomplete(ctx context.Context, seen []string) (n int, err error) {
	if err := r.takeTurn(ctx); err != nil {
		return 0, err
	}
	defer r.endTurn()
	if err := r.load(ctx); err != nil {
		return 0, err
	}
	if n, err = r.clearDoubts(ctx, seen); err != nil {
		return 0, err
	}
	r.update(func(s *Status) {
		s.Doubtful, s.Problems = len(r.memory.doubts), r.shownProblems(s.NextPoll)
	})
	r.soon()
	return n, nil
}

// permitted reports whether deletions may be made. It records a policy as confirmed
// that needs no confirmation, unless the store is new to an account that is not: one that was there before the first poll that went
// through, or goes no further than the last one.
func (r *Runner) permitted() bool {
	permitted := r.permits(&r.account)
	if permitted {
		r.memory.pollState.Confirmed = r.account.granted()
	}
	return permitted
}

// permitted is that of the runner, in a session that asks for another policy what it
// would be.
func (s *session) permitted() bool {
	if s.account == &s.runner.account {
		return s.runner.permitted()
	}
	return s.runner.permits(s.account)
}

// permits reports whether deletions could be made if this were the account.
func (r *Runner) permits(a *Account) bool {
	state := &r.memory.pollState
	return !state.Held && (!a.ConfirmDeletes || state.New || state.Confirmed.Covers(a.granted()))
}
