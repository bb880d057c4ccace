package mailstore

import (
	"context"
	"database/sql"
	"errors"
)

// ledgerQuery looks at the contents for what is still here. A purge leaves its
// mark in the ledger; a content that is gone without one was not removed by
// anybody, it was lost.
const ledgerQuery = `SELECT l.uidl, l.dup, l.hash, l.size, l.list_size, l.state, l.doubt, l.stored_at, l.last_listed_at, l.absent,
	iif(c.id IS NULL, l.removed_at, c.orphaned_at),
	l.hash IS NOT NULL AND iif(c.id IS NULL, l.removed_at IS NULL, c.missing)
	FROM ledger l LEFT JOIN content c ON c.hash = l.hash WHERE l.account = ?`

// Ledger returns all entries of an account, ordered by UIDL and Dup.
func (s *Store) Ledger(ctx context.Context, account string) ([]LedgerEntry, error) {
	var n int
	if err := s.reader.get(ctx, `SELECT count(*) FROM ledger WHERE account = ?`, []any{account}, &n); err != nil {
		return nil, failure(err, "read the ledger")
	}
	// A slice that grows to 100,000 takes twice the memory.
	return s.entries(ctx, make([]LedgerEntry, 0, n), account, "")
}

// Doubts returns the entries of an account that are in doubt, in the same order.
func (s *Store) Doubts(ctx context.Context, account string) ([]LedgerEntry, error) {
	return s.entries(ctx, nil, account, ` AND l.doubt <> 0`)
}

// Changes counts the commits that may have changed a ledger, or what it says of the
// contents: while it stays the same, so does what Ledger returns.
func (s *Store) Changes() uint64 { return s.writer.changes.Load() }

func (s *Store) entries(ctx context.Context, out []LedgerEntry, account, which string) ([]LedgerEntry, error) {
	// What is scanned into is made once: there may be 100,000 rows at each poll.
	e := LedgerEntry{Origin: Origin{Account: account}}
	var dup, state, doubt, absent, wanted int64 // not other numbers, see rowReader
	var storedAt, listedAt, removedAt sql.NullInt64
	err := s.reader.rows(ctx, ledgerQuery+which+` ORDER BY l.uidl, l.dup`, []any{account}, func(rows *sql.Rows) error {
		err := rows.Scan(&e.UIDL, &dup, hashInto(&e.Hash), &e.Size, &e.ListSize, &state, &doubt, &storedAt, &listedAt, &absent, &removedAt, &wanted)
		e.Dup, e.State, e.Doubt, e.Absent, e.Wanted = int(dup), LedgerState(state), Doubt(doubt), int(absent), wanted != 0
		e.StoredAt, e.LastListedAt, e.RemovedAt = when(storedAt), when(listedAt), when(removedAt)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, failure(err, "read the ledger")
	}
	return out, nil
}

// UpdateLedger sets ListSize, State, Doubt, LastListedAt and Absent of entries that
// exist, in one transaction. State Gone removes an entry. An entry that does not
// exist is passed over: only Deliver can know what is stored.
func (s *Store) UpdateLedger(ctx context.Context, account string, changes []LedgerEntry) error {
	if len(changes) == 0 {
		return nil
	}
	return s.write(ctx, "write the ledger", func(t *tx) error {
		for _, c := range changes {
			err := t.logState(account, c)
			if err != nil {
				return err
			}
			if c.State == Gone {
				err = t.exec(`DELETE FROM ledger WHERE account = ? AND uidl = ? AND dup = ?`, account, c.UIDL, c.Dup)
			} else {
				err = t.exec(`UPDATE ledger SET list_size = ?, state = ?, doubt = ?, last_listed_at = ?, absent = ? WHERE account = ? AND uidl = ? AND dup = ?`,
					c.ListSize, c.State, c.Doubt, unix(c.LastListedAt), c.Absent, account, c.UIDL, c.Dup)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// logState tells the recovery log of a state or doubt that changes. When an entry was
// last listed is not worth a line: each poll sets it for all of them.
func (t *tx) logState(account string, c LedgerEntry) error {
	var state LedgerState
	var doubt Doubt
	err := t.get(`SELECT state, doubt FROM ledger WHERE account = ? AND uidl = ? AND dup = ?`, []any{account, c.UIDL, c.Dup}, &state, &doubt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if c.State == Gone {
		t.log.line('G', account, c.UIDL, int64(c.Dup))
		return err
	}
	if c.State != state {
		t.log.line('S', account, c.UIDL, int64(c.Dup), int64(c.State))
	}
	if c.Doubt != doubt {
		t.logDoubt(c.Origin, c.Doubt)
	}
	return err
}

func (t *tx) logDoubt(o Origin, doubt Doubt) {
	t.log.line('Q', o.Account, o.UIDL, int64(o.Dup), int64(doubt))
}

// doubt sets the doubt of an entry that is there.
func (t *tx) doubt(o Origin, doubt Doubt) error {
	n, err := t.changed(`UPDATE ledger SET doubt = ? WHERE account = ? AND uidl = ? AND dup = ? AND doubt <> ?`, doubt, o.Account, o.UIDL, o.Dup, doubt)
	if n > 0 {
		t.logDoubt(o, doubt)
	}
	return err
}

// Readoption gives an entry the new id of its message.
type Readoption struct {
	From, To Origin
	ListSize int64
}

// Readopt gives entries of an account new ids, in one transaction, where a
// server has renumbered its messages: they are Presumed from then on. An entry
// that does not exist, or whose new id is taken, is passed over.
func (s *Store) Readopt(ctx context.Context, account string, moves []Readoption) error {
	if len(moves) == 0 {
		return nil
	}
	return s.write(ctx, "write the ledger", func(t *tx) error {
		now := s.now().Unix()
		for _, m := range moves {
			n, err := t.changed(`UPDATE OR IGNORE ledger SET uidl = ?, dup = ?, list_size = ?, state = ?, last_listed_at = ?, absent = 0
				WHERE account = ? AND uidl = ? AND dup = ?`,
				m.To.UIDL, m.To.Dup, m.ListSize, Presumed, now, account, m.From.UIDL, m.From.Dup)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			t.log.line('J', account, m.From.UIDL, int64(m.From.Dup), m.To.UIDL, int64(m.To.Dup), m.ListSize)
			t.log.line('S', account, m.To.UIDL, int64(m.To.Dup), int64(Presumed))
		}
		return nil
	})
}
