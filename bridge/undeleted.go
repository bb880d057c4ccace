package bridge

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// freeAttempts is how often a DELE that had no effect is sent again at once: a
// lost connection proves nothing.
const freeAttempts = 3

// undeleted is what is remembered of deletions that the server refuses, or that
// have no effect though they are sent again and again.
type undeleted struct {
	N     int    `json:"n"` // refused in the last attempt
	Said  string `json:"said,omitempty"`
	Tries int    `json:"tries"`
	Next  int64  `json:"next"`
}

// cut is what the server said, quoted, for a line.
func cut(err error) string {
	text := err.Error()
	return text[:min(len(text), maxNotedReason)]
}

// backOff plans the next attempt. The first free attempts prove nothing.
func (u *undeleted) backOff(now time.Time, free int) {
	u.Tries++
	if u.Tries > free {
		u.Next = now.Add(backoff(retryMessageFirst, retryMessageCap, u.Tries-free)).Unix()
	}
}

// held reports whether the deletion of a message has to wait: of those that were
// refused, or of all when it is not known any more which they were.
func (s *session) held(d plan.Delete) bool {
	wait := time.Unix(s.memory.pollState.Undeleted.Next, 0).Sub(s.now())
	return wait > 0 && wait <= retryMessageCap && (s.memory.refusedIDs == nil || s.memory.refusedIDs[idOf(s.listed(d.Num))])
}

// deleteRefused is for DELEs that the server has refused. Some servers want a
// message to be retrieved in the session that deletes it, so the first one is
// fetched, compared and tried again, and the others when that helped. What is
// refused all the same is as it was before.
func (s *session) deleteRefused(ctx context.Context, refused []plan.Delete, said error) (done []plan.Delete, err error) {
	for len(refused) > 0 && ctx.Err() == nil {
		d := refused[0]
		if !s.plan.HasArrived(d.Num) {
			same, err := s.compareRow(d)
			if err != nil {
				return done, err
			}
			if !same {
				break
			}
			ok, err := s.client.Dele(s.net, []int{d.Num}, func(_ int, err error) { said = err })
			if err != nil {
				return done, &retryError{err}
			}
			if len(ok) > 0 {
				done, refused = append(done, d), refused[1:]
				continue
			}
		}
		break
	}
	if len(refused) == 0 {
		return done, nil
	}
	var rows []mailstore.LedgerEntry
	for _, d := range refused {
		s.refusedNow[idOf(s.listed(d.Num))] = true
		rows = append(rows, d.Entry)
	}
	s.memory.pollState.Undeleted.N += len(refused)
	s.memory.pollState.Undeleted.Said = cut(said)
	return done, s.store.UpdateLedger(s.disk, s.account.Name, rows)
}

// compareRow retrieves a message that is to be deleted. If it is another one
// than its row, the row is gone from the server; the session ends without QUIT
// then, and the next one fetches the message.
func (s *session) compareRow(d plan.Delete) (same bool, err error) {
	hashes, err := s.hashes(pop3.Request{Num: d.Num, Size: s.listed(d.Num).Size})
	if err != nil {
		return false, err
	}
	h, came := hashes[d.Num]
	if !came || h == d.Entry.Hash {
		return came, nil
	}
	s.wasted, s.memory.pollState.IDs.Reuses = true, true
	d.Entry.State, d.Entry.Absent, d.Entry.LastListedAt = mailstore.DeleteAcked, 1, s.now()
	if err := s.store.UpdateLedger(s.disk, s.account.Name, []mailstore.LedgerEntry{d.Entry}); err != nil {
		return false, err
	}
	return false, &retryError{fault.New(fault.Temporary, "the server has given the id of a message to another one", "it is fetched in the next session")}
}
