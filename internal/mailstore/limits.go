package mailstore

import (
	"errors"
	"fmt"

	"github.com/popbridge/popbridge/internal/fault"
)

// What the clients of one user may fill the index with. What is there already,
// and what the accounts need, is never refused.
const (
	maxMailboxes     = 10_000
	maxSubscriptions = 20_000
	maxKeywords      = 1000    // different ones
	maxMessageWords  = 100     // keywords of one message
	maxKeywordOctets = 4 << 20 // of all sets of keywords, which stay in memory
	maxRendered      = 10_000  // combinations of flags whose names are at hand
)

// ErrTooMany is in the error of what goes beyond one of these.
var ErrTooMany = errors.New("limit reached")

func tooMany(what string, most int) error {
	return fault.Wrap(ErrTooMany, fault.Denied, fmt.Sprintf("there are too many %s, at most %d", what, most), "")
}

// atMost returns an error when a table has no room for another row.
func (t *tx) atMost(most int, table, what string) error {
	var n int
	if err := t.get(`SELECT count(*) FROM `+table, nil, &n); err != nil {
		return err
	}
	if n >= most {
		return tooMany(what, most)
	}
	return nil
}
