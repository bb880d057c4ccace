package mailstore

import (
	"context"
)

// Usage is how much is in a store.
type Usage struct {
	Messages int
	Size     int64 // of the messages
	Expunged int   // messages that Undelete can restore
	Fetched  int   // rows of the ledger
	Contents int
	Missing  int // of them, those whose file is missing or damaged, as Repair has found
}

// Empty reports whether the store has never held a message, or has forgotten
// that it did.
func (u Usage) Empty() bool { return u.Messages+u.Expunged+u.Fetched+u.Contents == 0 }

// Usage returns how much is in the store.
func (s *Store) Usage(ctx context.Context) (u Usage, err error) {
	err = s.reader.get(ctx, `SELECT coalesce(sum(messages), 0), coalesce(sum(size), 0), (SELECT count(*) FROM expunged),
		(SELECT count(*) FROM ledger), (SELECT count(*) FROM content), (SELECT count(*) FROM content WHERE missing) FROM mailbox`, nil,
		&u.Messages, &u.Size, &u.Expunged, &u.Fetched, &u.Contents, &u.Missing)
	return u, failure(err, "count the messages")
}

// OnlyHere returns how many messages there are, and how many of them no POP server has,
// as far as the last poll of each account knows: those that it has lost or deleted, and
// those that mail clients have written.
func (s *Store) OnlyHere(ctx context.Context) (messages, only int, err error) {
	err = s.reader.get(ctx, `SELECT count(*), coalesce(sum(c.hash NOT IN (SELECT hash FROM ledger WHERE hash IS NOT NULL AND absent = 0 AND state IN (?, ?))), 0)
		FROM message m JOIN content c ON c.id = m.content_id`, []any{Stored, Presumed}, &messages, &only)
	return messages, only, failure(err, "count the messages")
}
