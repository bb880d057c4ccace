package mailstore

import (
	"github.com/popbridge/popbridge/internal/fault"
)

// What the clients of one user may fill the index with. What is there already,
// and what the accounts need, is never refused.
const (
	maxMailboxes     = 10_000
	maxSubscriptions = 20_000
)

// atMost returns an error when a table has no room for another row.
func (t *tx) atMost(most int, table, what string) error {
	var n int
	if err := t.get(`SELECT count(*) FROM `+table, nil, &n); err != nil {
		return err
	}
	if n >= most {
		return fault.TooMany(what, most)
	}
	return nil
}
