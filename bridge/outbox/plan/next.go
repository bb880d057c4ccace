package plan

import (
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
// does; a zero time when none does. What was never tried comes first, then what was tried
// longest ago: a message that the server never takes, or that it answers with what looks
// like trouble of the account, delays no other.
func Next(queue []mailstore.Outgoing, now time.Time) (due *mailstore.Outgoing, at time.Time) {
	for i := range queue {
		m := &queue[i]
		switch {
		case m.State != mailstore.Waiting:
		case Due(m, now).After(now):
			if at.IsZero() || m.NotBefore.Before(at) {
				at = m.NotBefore
			}
		case due == nil || before(m, due):
			due = m
		}
	}
	return due, at
}

func before(a, b *mailstore.Outgoing) bool {
	if Fresh(a) || Fresh(b) {
		return Fresh(a) && !Fresh(b)
	}
	return a.NotBefore.Before(b.NotBefore)
}

// Fresh reports whether a message was never tried.
func Fresh(m *mailstore.Outgoing) bool { return m.Attempts == 0 && m.LastError == "" }

// Recipients returns to whom the next transaction for a message goes, limit of them at most
// (0: 100): to those still pending that no server has said anything about, and when there are
// none, to the others in turn. These are not asked again as soon as the first ones are.
func Recipients(m *mailstore.Outgoing, limit int) []string {
	if limit <= 0 {
		limit = maxRecipients
	}
	var to, tried []string
	for _, r := range m.Recipients {
		switch {
		case r.State != mailstore.Pending:
		case r.Reply == "":
			to = append(to, r.Address)
		default:
			tried = append(tried, r.Address)
		}
	}
	if len(to) == 0 && len(tried) > 0 {
		from := m.Attempts * limit % len(tried)
		to = append(tried[from:], tried[:from]...)
	}
	return to[:min(len(to), limit)]
}
