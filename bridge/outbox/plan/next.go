package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// maxRecipients is the number of recipients of one transaction where no limit is known: as
// many as every server has to take (RFC 5321 section 4.5.3.1.8).
const maxRecipients = 100

// farAhead is further than any message is put off: such a time is that of a clock
// that was wrong. So is one that came with a message that was queued later than now,
// but for the steps that clocks make every day.
const (
	farAhead  = 2 * time.Hour
	clockStep = time.Minute
)

// Due is when a message that waits may leave: at its NotBefore, or now where that is of
// a clock that was set back since.
func Due(m *mailstore.Outgoing, now time.Time) time.Time {
	if m.NotBefore.Sub(now) > farAhead || m.QueuedAt.Sub(now) > clockStep && !m.NotBefore.Before(m.QueuedAt) {
		return now
	}
	return m.NotBefore
}

// Next returns which of the messages, oldest first, leaves now, or else when one
// does; a zero time when none does. What was tried least often comes first, so
// that a message which the server never takes delays no other.
func Next(queue []mailstore.Outgoing, now time.Time) (due *mailstore.Outgoing, at time.Time) {
	for i := range queue {
		m := &queue[i]
		switch {
		case m.State != mailstore.Waiting:
		case Due(m, now).After(now):
			if at.IsZero() || m.NotBefore.Before(at) {
				at = m.NotBefore
			}
		case due == nil || m.Attempts < due.Attempts:
			due = m
		}
	}
	return due, at
}

// Recipients returns to whom the next transaction for a message goes, limit of them at most
// (0: 100): to those still pending, the ones first that no server has said anything about.
// The others are due at once after that.
func Recipients(m *mailstore.Outgoing, limit int) []string {
	if limit <= 0 {
		limit = maxRecipients
	}
	var pending []mailstore.OutgoingRecipient
	for _, r := range m.Recipients {
		if r.State == mailstore.Pending {
			pending = append(pending, r)
		}
	}
	slices.SortStableFunc(pending, func(a, b mailstore.OutgoingRecipient) int {
		return cmp.Compare(min(len(a.Reply), 1), min(len(b.Reply), 1))
	})
	to := make([]string, min(len(pending), limit))
	for i := range to {
		to[i] = pending[i].Address
	}
	return to
}
