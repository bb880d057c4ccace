package bridge

import (
	"context"
	"slices"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// deleteBatch is the number of deletions recorded and sent at a time.
const deleteBatch = 100

// delete sends DELE for what is due: what the ledger says is stored, and what
// this session has made durable. Here alone DELE is sent.
func (s *session) delete(ctx context.Context) (marked []mailstore.LedgerEntry, err error) {
	s.notes.Awaiting = 0
	due := s.actions.Delete
	if len(due) == 0 || s.account.Shadow {
		return nil, nil
	}
	if !s.permitted() {
		s.notes.Awaiting = len(due)
		return nil, nil
	}
	if due, err = s.stillDue(s.disk, due); err != nil {
		return nil, err
	}
	s.m.phase(PhaseDelete)
	for batch := range slices.Chunk(due, deleteBatch) {
		if ctx.Err() != nil {
			return marked, nil // QUIT still confirms what was marked
		}
		entries := make(map[int]mailstore.LedgerEntry, len(batch))
		intended := make([]mailstore.LedgerEntry, 0, len(batch))
		nums := make([]int, 0, len(batch))
		for _, d := range batch {
			d.Entry.State = mailstore.DeleteIntended
			entries[d.Num] = d.Entry
			intended = append(intended, d.Entry)
			nums = append(nums, d.Num)
		}
		if err := s.store.UpdateLedger(s.disk, s.account.Name, intended); err != nil {
			return marked, err
		}
		failpoint.Hit(failpoint.Intended)
		done, err := s.client.Dele(s.net, nums)
		failpoint.Hit(failpoint.Deleted)
		for _, num := range done {
			marked = append(marked, entries[num])
		}
		if err != nil {
			return marked, &retryError{err}
		}
	}
	return marked, nil
}

// stillDue looks at the ledger again: while the others were fetched, a file was
// perhaps found damaged, or a message brought back that was removed here.
func (s *session) stillDue(ctx context.Context, due []Delete) ([]Delete, error) {
	ledger, err := s.store.Ledger(ctx, s.account.Name)
	if err != nil {
		return nil, err
	}
	rows := make(map[mailstore.Origin]mailstore.LedgerEntry, len(ledger))
	for _, e := range ledger {
		rows[e.Origin] = e
	}
	var still []Delete
	for _, d := range due {
		e, known := rows[d.Entry.Origin]
		if known && e.Hash == d.Entry.Hash && !e.Wanted && (d.Entry.RemovedAt.IsZero() || !e.RemovedAt.IsZero()) {
			d.Entry = e
			still = append(still, d)
		}
	}
	return still, nil
}

// quit ends the session. The deletions count from here on, and only when the
// server says +OK (RFC 1939 section 6); when it does not, the next listing
// shows what became of them.
func (s *session) quit(marked []mailstore.LedgerEntry) error {
	err := s.client.Quit(s.net)
	if err != nil {
		s.unconfirmed = len(marked)
		s.log.Debug().Err(err).Int("deleted", len(marked)).Msg("quit not confirmed")
		return nil
	}
	s.unconfirmed = 0
	s.result.Deleted = len(marked)
	if len(marked) == 0 {
		return nil
	}
	failpoint.Hit(failpoint.Acknowledged)
	for i := range marked {
		marked[i].State = mailstore.DeleteAcked
	}
	err = s.store.UpdateLedger(s.disk, s.account.Name, marked)
	failpoint.Hit(failpoint.Recorded)
	return err
}
