package mailstore

import (
	"context"
	"database/sql"
	"errors"
)

// The table vanished has the messages that were removed from a mailbox, as runs of
// UIDs with the modification sequence of the removal. A run may also have UIDs that
// were gone before, never one of a message that is there: UIDs are not used again.
// mailbox.history_from says how far back that is complete: all removals with a higher
// modification sequence are in it.

// maxVanished bounds the runs of one mailbox. Where there are more, the oldest half is
// forgotten.
const maxVanished = 4096

// forgetAll makes all that was removed until now unknown.
var forgetAll = []string{`UPDATE mailbox SET history_from = modseq`, `DELETE FROM vanished`}

// A Run are the UIDs from First to Last.
type Run struct{ First, Last UID }

// forget keeps the table small after a removal.
func (t *tx) forget(b *box) error {
	var count, from int64
	err := t.get(`SELECT count(*) FROM vanished WHERE mailbox_id = ?`, []any{b.ID}, &count)
	if err != nil || count <= maxVanished {
		return err
	}
	err = t.get(`SELECT modseq FROM vanished WHERE mailbox_id = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?`, []any{b.ID, maxVanished / 2}, &from)
	if err != nil {
		return err
	}
	return errors.Join(t.exec(`UPDATE mailbox SET history_from = ? WHERE id = ?`, from, b.ID),
		t.exec(`DELETE FROM vanished WHERE mailbox_id = ? AND modseq <= ?`, b.ID, from))
}

// Vanished returns the messages that were removed from a mailbox after one
// modification sequence and up to another one. known is false where that is so long
// ago, or the index was made again since, that they cannot be told.
func (s *Store) Vanished(ctx context.Context, id MailboxID, after, upTo ModSeq) (runs []Run, known bool, err error) {
	err = s.reader.rows(ctx, `SELECT ? >= history_from, coalesce(first, 0), coalesce(last, 0) FROM mailbox
		LEFT JOIN vanished ON mailbox_id = id AND vanished.modseq > ? AND vanished.modseq <= ? WHERE id = ? ORDER BY first`,
		[]any{int64(after), int64(after), int64(upTo), id}, func(rows *sql.Rows) error {
			var r Run
			if err := rows.Scan(&known, &r.First, &r.Last); err != nil {
				return err
			}
			if r.First > 0 {
				runs = append(runs, r)
			}
			return nil
		})
	return runs, known, failure(err, "look up what was expunged")
}

// wrongHistory is the SQL for a mailbox m whose runs cannot be true.
const wrongHistory = `EXISTS (SELECT 1 FROM vanished WHERE mailbox_id = m.id AND (modseq > m.modseq OR last >= m.uidnext
	OR EXISTS (SELECT 1 FROM message x WHERE x.mailbox_id = m.id AND uid BETWEEN first AND last)))`

// repairHistory raises the modification sequence of a mailbox that lags, and those of
// its messages, above all that were given (see identity.go). What was removed before
// is not known then.
func (t *tx) repairHistory(b *box) error {
	var damaged bool
	var next int64
	err := t.get(`SELECT (SELECT value FROM meta WHERE key = 'generation'), `+wrongHistory+` OR EXISTS (SELECT 1 FROM message x WHERE x.mailbox_id = m.id AND x.modseq > m.modseq)
		FROM mailbox m WHERE id = ?`, []any{b.ID}, &next, &damaged)
	if err != nil || !damaged {
		return err
	}
	b.HighestModSeq = max(b.HighestModSeq+1, ModSeq(next)) // never negative
	return t.execAll([]string{
		`UPDATE message SET modseq = ?2 WHERE mailbox_id = ?1`,
		`UPDATE mailbox SET history_from = ?2 WHERE id = ?1`,
		`DELETE FROM vanished WHERE mailbox_id = ?1 AND ?2 > 0`,
	}, b.ID, int64(b.HighestModSeq))
}
