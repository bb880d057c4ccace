package mailstore

import "context"

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
