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

// reason says why a stored message may leave the server, "" if it may not.
// newer is the number of messages listed after it, left the size of the
// mailbox.
func (k Keep) reason(e mailstore.LedgerEntry, newer int, left int64, now time.Time) (why, text string) {
	switch {
	case k.mode == keepNever:
		return "never", "keep_on_server is never"
	// A row without a time is one whose age is unknown: kept.
	case k.mode == keepFor && !e.StoredAt.IsZero() && now.Sub(e.StoredAt) >= k.age:
		return "age", fmt.Sprintf("stored %s ago, and kept there for %s", age(e.StoredAt, now), spell(k.age))
	case k.mode == keepNewest && newer >= k.count:
		return "newest", fmt.Sprintf("not among the newest %d", k.count)
	case k.mode == keepBelow && k.quota > 0 && left >= k.limit():
		return "full", fmt.Sprintf("one of the oldest, and the mailbox is not below %d%%", k.percent)
	default:
		return "", ""
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
