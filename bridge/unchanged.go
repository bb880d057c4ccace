package bridge

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
)

// unchanged is what is kept of a session that had nothing to do on an account that
// deletes nothing. The next one has nothing to do either, and reads no ledger, while
// the listing is the same and nothing was written in the store. The zero value holds
// for no session.
type unchanged struct {
	listing     uint64 // its digest
	mailbox     string
	policy      plan.Policy
	changes     uint64 // of the store
	from, until time.Time
}

var listingSeed = maphash.MakeSeed()

// digest is that of the listing, the same only within this run of the program.
func (s *session) digest() uint64 {
	var h maphash.Hash
	h.SetSeed(listingSeed)
	var fields [24]byte
	for _, l := range s.listing {
		binary.LittleEndian.PutUint64(fields[:], uint64(l.Num))
		binary.LittleEndian.PutUint64(fields[8:], uint64(l.Size))
		binary.LittleEndian.PutUint64(fields[16:], uint64(len(l.UIDL)))
		_, _ = h.Write(fields[:]) // never fails
		_, _ = h.WriteString(l.UIDL)
	}
	return h.Sum64()
}

// mayBeAsBefore reports whether the session has nothing to do if its listing is that
// of the one before.
func (s *session) mayBeAsBefore() bool {
	u, now := &s.memory.unchanged, s.now()
	return u.changes == s.changes && u.mailbox == s.mailbox && u.policy == s.account.policy() && !now.Before(u.from) && now.Before(u.until)
}

// isAsBefore reports whether it is.
func (s *session) isAsBefore() bool {
	return s.complete && !s.memory.contentMode && s.memory.unchanged.listing == s.digest()
}

// noteUnchanged notes whether the session had nothing to do, after it ended with err.
func (s *session) noteUnchanged(err error) {
	m, a := s.memory, &s.plan.Actions
	m.unchanged = unchanged{}
	if err != nil || s.account.policy().Deletes() || !s.complete || m.contentMode || m.doubting || m.unconfirmed > 0 || len(m.problems.byID) > 0 ||
		len(a.Fetch)+len(a.Seen)+len(a.Absent)+len(a.Forget)+len(a.Readopt) > 0 {
		return
	}
	u := unchanged{listing: s.digest(), mailbox: s.mailbox, policy: s.account.policy(), changes: s.changes}
	for i, e := range s.ledger {
		if due := e.LastListedAt.Add(plan.MarkEvery); i == 0 || due.Before(u.until) {
			u.until = due // when the row is marked again
		}
		if e.LastListedAt.After(u.from) {
			u.from = e.LastListedAt
		}
	}
	m.unchanged = u
}
