package plan

import (
	"fmt"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// Policy is what an account wants done on the server.
type Policy struct {
	Keep     Keep
	Expunged bool          // delete there what was removed here, after Grace
	Grace    time.Duration // from the removal of the last copy
}

// String says the policy in words.
func (p Policy) String() string {
	text := "keep_on_server = " + p.Keep.String()
	if p.Keep.mode == keepBelow {
		text += fmt.Sprintf(" of %d bytes", p.Keep.quota)
	}
	if p.Expunged {
		text += ", delete_on_server = when expunged, after " + spell(p.Grace)
	}
	return text
}

// Deletes reports whether the policy ever deletes anything.
func (p Policy) Deletes() bool { return p.Expunged || p.Keep.mode != keepForever }

// due returns which of the listed messages, in the order of their numbers, are
// to be deleted and why. rows holds the row of each, nil where it is not
// stored here: such a message always stays (invariant 1), as does one whose only
// good or only whole copy may be on the server.
func (p Policy) due(listing []Listed, rows []*mailstore.LedgerEntry, now time.Time) (due []Delete) {
	left := int64(0) // the size of the mailbox, without what was removed here
	for i, l := range listing {
		if e := rows[i]; e == nil || e.Wanted || !p.removed(e, now) {
			left += p.Keep.sizeOf(l, e)
		}
	}
	for i, l := range listing {
		e := rows[i]
		if e == nil || e.Wanted || e.Doubt != mailstore.NoDoubt {
			continue
		}
		why, reason := "", ""
		if p.removed(e, now) {
			why, reason = "expunged", fmt.Sprintf("removed here %s ago, and delete_on_server is on", age(e.RemovedAt, now))
		} else if why, reason = p.Keep.reason(*e, len(listing)-1-i, left, now); reason != "" {
			left -= p.Keep.sizeOf(l, e)
		}
		if reason != "" {
			due = append(due, Delete{Num: l.Num, Entry: *e, Why: why, Reason: reason})
		}
	}
	return due
}

// removed reports whether the last copy here has been gone for long enough.
func (p Policy) removed(e *mailstore.LedgerEntry, now time.Time) bool {
	return p.Expunged && !e.RemovedAt.IsZero() && now.Sub(e.RemovedAt) >= p.Grace
}
