package plan

import (
	"fmt"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// Keep says how long a message stays on the POP server once it is stored
// here. The zero value keeps it forever.
type Keep struct {
	mode    keepMode
	age     time.Duration
	count   int
	percent int
	quota   int64 // bytes
}

type keepMode uint8

const (
	keepForever keepMode = iota
	keepNever
	keepFor
	keepNewest
	keepBelow
)

// KeepForever never deletes anything on the server.
func KeepForever() Keep { return Keep{} }

// KeepNever deletes a message in the session that stored it.
func KeepNever() Keep { return Keep{mode: keepNever} }

// KeepFor deletes a message once it has been stored here for age. The time
// counts from the day it was stored, not from its Date: a mailbox that is
// polled for the first time loses nothing for another age.
func KeepFor(age time.Duration) Keep { return Keep{mode: keepFor, age: age} }

// KeepNewest keeps the n messages with the highest numbers, which are those
// that arrived last, whether they are stored here or not.
func KeepNewest(n int) Keep { return Keep{mode: keepNewest, count: max(n, 0)} }

// KeepBelow deletes the oldest messages that are stored here until the mailbox is
// smaller than percent of quota bytes.
func KeepBelow(percent int, quota int64) Keep {
	return Keep{mode: keepBelow, percent: max(percent, 0), quota: max(quota, 0)}
}

// sizeOf is what a message surely takes on the server: what LIST announces, which is
// a hint, and not more than what came of it, or than all the mailbox can hold.
func (k Keep) sizeOf(l Listed, e *mailstore.LedgerEntry) int64 {
	switch stored := e != nil && e.Size > 0; {
	case stored && l.Size > 0:
		return min(l.Size, e.Size)
	case stored:
		return e.Size
	case l.Size < 0 || l.Size > k.quota:
		return 0
	}
	return l.Size
}

// limit is the size that the mailbox is kept below.
func (k Keep) limit() int64 { return int64(float64(k.quota) / 100 * float64(k.percent)) }

// String returns the policy as the configuration spells it.
func (k Keep) String() string {
	switch k.mode {
	case keepNever:
		return "never"
	case keepFor:
		return spell(k.age)
	case keepNewest:
		return fmt.Sprintf("newest %d", k.count)
	case keepBelow:
		return fmt.Sprintf("below %d%%", k.percent)
	default:
		return "forever"
	}
}

func spell(d time.Duration) string {
	if days := d / (24 * time.Hour); days*24*time.Hour == d {
		return fmt.Sprintf("%dd", days)
	}
	return d.String()
}

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
// stored here: such a message always stays (law 1), as does one whose only
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
		reason := ""
		if p.removed(e, now) {
			reason = fmt.Sprintf("removed here %s ago, and delete_on_server is on", age(e.RemovedAt, now))
		} else if reason = p.Keep.reason(*e, len(listing)-1-i, left, now); reason != "" {
			left -= p.Keep.sizeOf(l, e)
		}
		if reason != "" {
			due = append(due, Delete{Num: l.Num, Entry: *e, Reason: reason})
		}
	}
	return due
}

// removed reports whether the last copy here has been gone for long enough.
func (p Policy) removed(e *mailstore.LedgerEntry, now time.Time) bool {
	return p.Expunged && !e.RemovedAt.IsZero() && now.Sub(e.RemovedAt) >= p.Grace
}

// reason says why a stored message may leave the server, "" if it may not.
// newer is the number of messages listed after it, left the size of the
// mailbox.
func (k Keep) reason(e mailstore.LedgerEntry, newer int, left int64, now time.Time) string {
	switch {
	case k.mode == keepNever:
		return "keep_on_server is never"
	// A row without a time is one whose age is unknown: kept.
	case k.mode == keepFor && !e.StoredAt.IsZero() && now.Sub(e.StoredAt) >= k.age:
		return fmt.Sprintf("stored %s ago, and kept there for %s", age(e.StoredAt, now), spell(k.age))
	case k.mode == keepNewest && newer >= k.count:
		return fmt.Sprintf("not among the newest %d", k.count)
	case k.mode == keepBelow && k.quota > 0 && left >= k.limit():
		return fmt.Sprintf("one of the oldest, and the mailbox is not below %d%%", k.percent)
	default:
		return ""
	}
}

// age is a time that has passed, in words.
func age(from, now time.Time) string {
	d := now.Sub(from)
	if days := int(d / (24 * time.Hour)); days != 1 && d >= 24*time.Hour {
		return fmt.Sprintf("%d days", days)
	}
	return d.Round(time.Minute).String()
}
