package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// maxRecipients is the number of recipients of one transaction: as many as every
// server has to take (RFC 5321 section 4.5.3.1.8), and Gmail takes no more.
const maxRecipients = 100

// farAhead is further than any message is put off: such a time is that of a clock
// that was wrong.
const farAhead = 7 * 24 * time.Hour

// Next returns which of the messages, oldest first, leaves now, or else when one
// does; a zero time when none does. What was never tried comes first, then what was tried
// longest ago: a message that the server never takes, or that it answers with what looks
// like trouble of the account, delays no other.
func Next(queue []mailstore.Outgoing, now time.Time) (due *mailstore.Outgoing, at time.Time) {
	for i := range queue {
		m := &queue[i]
		switch {
		case m.State != mailstore.Waiting:
		case m.NotBefore.After(now) && m.NotBefore.Sub(now) < farAhead:
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

// Recipients returns to whom the next transaction for a message goes: to those
// still pending, the ones first that no server has said anything about.
func Recipients(m *mailstore.Outgoing) []string {
	var pending []mailstore.OutgoingRecipient
	for _, r := range m.Recipients {
		if r.State == mailstore.Pending {
			pending = append(pending, r)
		}
	}
	slices.SortStableFunc(pending, func(a, b mailstore.OutgoingRecipient) int {
		return cmp.Compare(min(len(a.Reply), 1), min(len(b.Reply), 1))
	})
	to := make([]string, min(len(pending), maxRecipients))
	for i := range to {
		to[i] = pending[i].Address
	}
	return to
}
