package bridge

import (
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/message"
)

// item is a received message and what it was found to be.
type item struct {
	received
	verdict
	delivery mailstore.Delivery
}

// item decides what a message is. ok is false when there is nothing to store.
func (c *committer) item(m received) (_ item, ok bool) {
	i := item{received: m, verdict: c.contents.resolve(m.fetch, m.message.Hash())}
	c.doubted = c.doubted || m.doubt != mailstore.NoDoubt
	if r := m.fetch.Row; r != nil && (m.fetch.IsAgain() || r.Hash == m.message.Hash()) {
		was, better := *r, true
		if m.doubt, better = again(*r, m); !better {
			was.Doubt = m.doubt
			c.bytes += m.message.Size()
			c.seen = append(c.seen, was)
			return i, false
		}
	}
	c.learn(m.fetch, i.verdict, m.message.Hash())
	if m.fetch.IsRow(m.message.Hash()) && !m.fetch.Row.Wanted {
		m.fetch.Row.Doubt = m.doubt
		c.bytes += m.message.Size()
		c.finish(m.fetch.Num, c.confirm(*m.fetch.Row))
		return i, false
	}
	if i.known != nil && m.fetch.UIDL == "" && !i.known.Wanted {
		// The row keeps its id: there is no better one to give it.
		i.known.ListSize = m.fetch.Size
		c.bytes += m.message.Size()
		c.finish(m.fetch.Num, c.confirm(*i.known))
		c.here[m.fetch.Num] = m.message.Hash()
		return i, false
	}
	i.delivery = mailstore.Delivery{
		Mailbox:    c.mailbox,
		Message:    m.message,
		ReceivedAt: receivedAt(m.message.Summary(), c.now()),
		Origin:     &i.origin,
		ListSize:   m.fetch.Size,
		Doubt:      m.doubt,
	}
	switch {
	case i.known != nil && m.fetch.UIDL == "":
		i.origin = i.known.Origin // the row keeps its id, and its file is put back
	case i.known != nil:
		i.delivery.Adopt = &i.known.Origin
	}
	return i, true
}

// learn notes what a message that was compared says about its row and its
// server.
func (c *committer) learn(f plan.Fetch, v verdict, hash mailstore.Hash) {
	if v.known != nil {
		delete(c.gone, v.known.Origin)
	}
	r := f.Row
	if r == nil {
		if v.known != nil && v.known.Absent == 0 && (v.known.State == mailstore.DeleteIntended || v.known.State == mailstore.DeleteAcked) {
			c.undeleted++
		}
		// A new message under an id that another one had alone.
		c.reused = c.reused || v.known == nil && f.UIDL != "" && f.Dup > 0 && !c.contents.shared[f.UIDL]
		return
	}
	switch same := r.Hash == hash; {
	case r.Wanted, r.Doubt != mailstore.NoDoubt && f.IsAgain() && !same:
	case same && r.State == mailstore.DeleteAcked:
		c.relisted = true
		c.undeleted++
	case same && r.State == mailstore.DeleteIntended:
		c.undeleted++
	case !same:
		c.reused = c.reused || r.State != mailstore.Presumed
		if c.contents.isOpen(*r) {
			gone := *r // it is not there any more, unless it is found under another id
			gone.State, gone.Absent, gone.LastListedAt = mailstore.DeleteAcked, max(gone.Absent, 1), c.now()
			c.gone[r.Origin] = gone
		}
	}
}

// confirm notes that the message of a row is there, compared byte for byte.
func (c *committer) confirm(e mailstore.LedgerEntry) mailstore.LedgerEntry {
	e.Absent, e.LastListedAt, e.State = 0, c.now(), mailstore.Stored
	c.seen = append(c.seen, e)
	return e
}

// receivedAt is the INTERNALDATE of a message: when the last server took it,
// else when it was written, else now, and never in the future.
func receivedAt(s *message.Summary, now time.Time) time.Time {
	if s == nil {
		return now
	}
	for _, t := range []time.Time{s.Received, s.Envelope.Date()} {
		if !t.IsZero() {
			if t.After(now) {
				return now
			}
			return t
		}
	}
	return now
}
