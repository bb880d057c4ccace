package bridge

import (
	"fmt"
	"time"
)

// Keep says how long a message stays on the POP server once it is stored
// here. The zero value keeps it forever.
type Keep struct {
	mode keepMode
	age  time.Duration
}

type keepMode uint8

const (
	keepForever keepMode = iota
	keepNever
	keepFor
)

// KeepForever never deletes anything on the server.
func KeepForever() Keep { return Keep{} }

// KeepNever deletes a message in the session that stored it.
func KeepNever() Keep { return Keep{mode: keepNever} }

// KeepFor deletes a message once it has been stored here for age. The time
// counts from the day it was stored, not from its Date: a mailbox that is
// polled for the first time loses nothing for another age.
func KeepFor(age time.Duration) Keep { return Keep{mode: keepFor, age: age} }

// String returns the policy as the configuration spells it.
func (k Keep) String() string {
	switch k.mode {
	case keepNever:
		return "never"
	case keepFor:
		if days := k.age / (24 * time.Hour); days*24*time.Hour == k.age {
			return fmt.Sprintf("%dd", days)
		}
		return k.age.String()
	default:
		return "forever"
	}
}

// due reports whether a message stored at the given time may leave the server.
func (k Keep) due(storedAt, now time.Time) bool {
	switch k.mode {
	case keepNever:
		return true
	case keepFor:
		// A row without a time is one whose age is unknown: kept.
		return !storedAt.IsZero() && now.Sub(storedAt) >= k.age
	default:
		return false
	}
}
