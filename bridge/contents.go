package bridge

import (
	"encoding/hex"
	"slices"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// contentPrefix starts the ledger id of a message that the server gave no
// UIDL: its content is its id.
const contentPrefix = "sha256:"

// contents tells whether a fetched message is one that is stored already under
// an id that is gone from the server. It belongs to one session's committer.
type contents struct {
	account  string
	unlisted map[mailstore.Hash][]mailstore.LedgerEntry
	nextDup  map[string]int  // by content id
	shared   map[string]bool // ids that several listed messages have
}

func newContents(account string, shared map[string]bool, ledger, unlisted []mailstore.LedgerEntry) *contents {
	c := &contents{
		account:  account,
		shared:   shared,
		unlisted: make(map[mailstore.Hash][]mailstore.LedgerEntry, len(unlisted)),
		nextDup:  make(map[string]int),
	}
	for _, e := range unlisted {
		c.unlisted[e.Hash] = append(c.unlisted[e.Hash], e)
	}
	for _, e := range ledger {
		if len(e.UIDL) > len(contentPrefix) && e.UIDL[:len(contentPrefix)] == contentPrefix {
			c.nextDup[e.UIDL] = max(c.nextDup[e.UIDL], e.Dup+1)
		}
	}
	return c
}

// verdict is what a fetched message is.
type verdict struct {
	origin mailstore.Origin
	known  *mailstore.LedgerEntry // the row whose content this is, no longer listed under its id; nil: new
}

// isOpen reports whether no message has proved to be that of the row.
func (c *contents) isOpen(row mailstore.LedgerEntry) bool {
	return slices.ContainsFunc(c.unlisted[row.Hash], func(e mailstore.LedgerEntry) bool { return e.Origin == row.Origin })
}

// resolve decides what a fetched message is. Each row answers for one message
// only: a second message of the same content is a new one. A row whose id is
// still listed never answers.
func (c *contents) resolve(f plan.Fetch, hash mailstore.Hash) verdict {
	v := verdict{origin: mailstore.Origin{Account: c.account, UIDL: f.UIDL, Dup: f.Dup}}
	if f.IsRow(hash) {
		v.origin = f.Row.Origin
		c.unlisted[hash] = slices.DeleteFunc(c.unlisted[hash], func(e mailstore.LedgerEntry) bool { return e.Origin == v.origin })
		return v
	}
	if rows := c.unlisted[hash]; len(rows) > 0 {
		v.known = &rows[0]
		c.unlisted[hash] = rows[1:]
		return v
	}
	if f.UIDL == "" {
		v.origin.UIDL = contentPrefix + hex.EncodeToString(hash[:])
		v.origin.Dup = c.nextDup[v.origin.UIDL]
		c.nextDup[v.origin.UIDL]++
	}
	return v
}
