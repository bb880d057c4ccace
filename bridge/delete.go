package bridge

import (
	"context"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// deleteBatch is the number of deletions recorded and sent at a time.
const deleteBatch = 100

// delete sends DELE for what is due: what the ledger says is stored, and what
// this session has made durable. Here alone DELE is sent.
func (s *session) delete(ctx context.Context) (marked []mailstore.LedgerEntry, err error) {
	s.memory.pollState.Awaiting = 0
	due := s.plan.Actions.Delete
	if len(due) == 0 {
		s.memory.pollState.Undeleted.N = 0
	}
	if len(due) == 0 || s.account.Shadow {
		return nil, nil
	}
	if !s.runner.permitted() {
		s.memory.pollState.Awaiting = len(due)
		return nil, nil
	}
	if due, err = s.stillDue(s.disk, due); err != nil {
		return nil, err
	}
	if due = slices.DeleteFunc(due, s.held); len(due) == 0 {
		return nil, nil
	}
	s.meter.phase(PhaseDelete)
	s.refusedNow = make(map[problemID]bool)
	s.memory.pollState.Undeleted.N = 0
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
		var refused []plan.Delete
		var said error
		done, err := s.client.Dele(s.net, nums, func(num int, err error) {
			i := slices.IndexFunc(batch, func(d plan.Delete) bool { return d.Num == num })
			refused, said = append(refused, batch[i]), err
		})
		failpoint.Hit(failpoint.Deleted)
		for _, num := range done {
			marked = append(marked, entries[num])
		}
		if err != nil {
			return marked, &retryError{err}
		}
		if len(refused) > 0 {
			late, err := s.deleteRefused(ctx, refused, said)
			for _, d := range late {
				marked = append(marked, entries[d.Num])
			}
			if err != nil {
				return marked, err
			}
		}
		if len(s.refusedNow) == len(batch) && len(marked) == 0 { // it refuses all, so the others are not tried
			s.memory.pollState.Undeleted.N = len(due)
			for _, d := range due {
				s.refusedNow[idOf(s.listed(d.Num))] = true
			}
			break
		}
	}
	s.learnRefusals()
	return marked, nil
}

// learnRefusals plans when refused deletions are tried again.
func (s *session) learnRefusals() {
	if len(s.refusedNow) == 0 {
		return
	}
	for id := range s.memory.refusedIDs {
		s.refusedNow[id] = true
	}
	s.memory.pollState.Undeleted.N = len(s.refusedNow)
	s.memory.refusedIDs = s.refusedNow
	if time.Unix(s.memory.pollState.Undeleted.Next, 0).Before(s.now()) {
		s.memory.pollState.Undeleted.backOff(s.now(), 0)
	}
	s.log.Warn().Int("messages", s.memory.pollState.Undeleted.N).Str("said", s.memory.pollState.Undeleted.Said).Msg("server refuses to delete messages")
}

// stillDue looks at the ledger again: while the others were fetched, a file was
// perhaps found damaged, or a message brought back that was removed here.
func (s *session) stillDue(ctx context.Context, due []plan.Delete) ([]plan.Delete, error) {
	ledger, err := s.store.Ledger(ctx, s.account.Name)
	if err != nil {
		return nil, err
	}
	var still []plan.Delete
	for _, d := range due {
		i, known := slices.BinarySearchFunc(ledger, d.Entry.Origin, func(e mailstore.LedgerEntry, o mailstore.Origin) int {
			return e.Compare(o)
		})
		if !known {
			continue
		}
		e := ledger[i]
		if e.Hash == d.Entry.Hash && !e.Wanted && (d.Entry.RemovedAt.IsZero() || !e.RemovedAt.IsZero()) {
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
		s.memory.unconfirmed = len(marked)
		s.log.Debug().Err(err).Int("deleted", len(marked)).Msg("quit not confirmed")
		return nil
	}
	s.memory.unconfirmed = 0
	if len(marked) > 0 && len(s.refusedNow) == 0 && s.memory.pollState.Undeleted.N == 0 && !s.noEffect {
		s.memory.pollState.Undeleted = undeleted{}
	}
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
