package mailstore

import (
	"context"
	"database/sql"
	"errors"
)

// SendingMemory returns what SetSendingMemory was given last for an account, "" for
// nothing: also where the index was rebuilt, or is from before that.
func (s *Store) SendingMemory(ctx context.Context, account string) (memory string, err error) {
	err = s.reader.get(ctx, `SELECT memory FROM sending WHERE account = ?`, []any{account}, &memory)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return memory, failure(err, "read what is remembered of sending")
}

// SetSendingMemory remembers a text over a restart, for who sends the mail of an account.
func (s *Store) SetSendingMemory(ctx context.Context, account, memory string) error {
	return s.write(ctx, "remember how sending goes", func(t *tx) error {
		t.noLedger = true
		return t.exec(`INSERT OR REPLACE INTO sending (account, memory) VALUES (?, ?)`, account, memory)
	})
}
