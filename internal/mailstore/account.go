package mailstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
)

// Inherit moves the ledger and the state of another account to one that has no ledger
// yet; same decides whether the other is the same mailbox under another name. Of
// several it is the one that has stored most.
// It returns the state and whether there was such an account, which is gone then.
func (s *Store) Inherit(ctx context.Context, account string, same func(name, memory string) bool) (st AccountState, ok bool, err error) {
	var taken bool
	err = s.reader.get(ctx, `SELECT EXISTS (SELECT 1 FROM ledger WHERE account = ?)`, []any{account}, &taken)
	if err != nil || taken {
		return st, false, failure(err, "look for the account by another name")
	}
	known, err := s.Accounts(ctx)
	known = slices.DeleteFunc(known, func(k KnownAccount) bool { return k.Name == account || !same(k.Name, k.Memory) })
	if err != nil || len(known) == 0 {
		return st, false, err
	}
	from := slices.MaxFunc(known, func(a, b KnownAccount) int { return cmp.Compare(a.Stored, b.Stored) }).Name
	if err := s.write(ctx, "rename the account", func(t *tx) error { return t.inherit(from, account) }); err != nil {
		return st, false, err
	}
	st, err = s.AccountState(ctx, account)
	return st, err == nil, err
}

// RenameAccounts gives accounts, with their ledgers and states, other names, all at
// once: two may change theirs. Whatever has a new name already has to be among them.
func (s *Store) RenameAccounts(ctx context.Context, names map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	const between = "\x00" // begins no name
	return s.write(ctx, "rename accounts", func(t *tx) error {
		order := slices.Sorted(maps.Keys(names))
		for _, from := range order {
			if err := t.inherit(from, between+from); err != nil {
				return err
			}
		}
		for _, from := range order {
			if err := t.inherit(between+from, names[from]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) inherit(from, to string) error {
	err := t.rows(`SELECT uidl, dup, hash, size, list_size, state, coalesce(stored_at, 0), coalesce(removed_at, 0), doubt
		FROM ledger WHERE account = ? AND hash IS NOT NULL`, []any{from}, func(rows *sql.Rows) error {
		var uidl string
		var h Hash
		var dup, size, listed, state, stored, removed, doubt int64
		err := rows.Scan(&uidl, &dup, hashInto(&h), &size, &listed, &state, &stored, &removed, &doubt)
		t.log.line('G', from, uidl, dup)
		t.log.line('L', to, uidl, dup, h, size, listed, state, stored, removed)
		if doubt != 0 {
			t.logDoubt(Origin{Account: to, UIDL: uidl, Dup: int(dup)}, Doubt(doubt))
		}
		return err
	})
	if err != nil {
		return err
	}
	var stored int64
	var had bool
	if err := t.get(`SELECT stored, had_uidl FROM account WHERE name = ?`, []any{from}, &stored, &had); err != nil {
		return err
	}
	if err := t.eachOutgoing(func(o *outgoingRow) { o.Account = to }, `account = ?`, from); err != nil {
		return err
	}
	t.log.line('C', from, -stored)
	t.log.line('C', to, stored)
	t.log.line('H', to, had)
	return errors.Join(
		t.exec(`DELETE FROM account WHERE name = ?`, to),
		t.exec(`UPDATE account SET name = ? WHERE name = ?`, to, from),
		t.exec(`UPDATE OR REPLACE sending SET account = ? WHERE account = ?`, to, from),
		t.exec(`UPDATE ledger SET account = ? WHERE account = ?`, to, from))
}

// AccountState returns what is remembered of an account; zero for a new one.
func (s *Store) AccountState(ctx context.Context, account string) (AccountState, error) {
	var st AccountState
	var last sql.NullInt64
	err := s.reader.get(ctx, `SELECT stored, on_server, last_success, last_error, had_uidl, memory FROM account WHERE name = ?`,
		[]any{account}, &st.Stored, &st.OnServer, &last, &st.LastError, &st.HadUIDL, &st.Memory)
	if errors.Is(err, sql.ErrNoRows) {
		return AccountState{}, nil
	}
	st.LastSuccess = when(last)
	return st, failure(err, "read the state of the account")
}

// SetAccountState stores all but Stored, which Deliver counts.
func (s *Store) SetAccountState(ctx context.Context, account string, st AccountState) error {
	return s.write(ctx, "write the state of the account", func(t *tx) error {
		t.noLedger = true
		var had bool
		err := t.get(`SELECT had_uidl FROM account WHERE name = ?`, []any{account}, &had)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if had != st.HadUIDL {
			t.log.line('H', account, st.HadUIDL)
		}
		return t.exec(`INSERT INTO account (name, on_server, last_success, last_error, had_uidl, memory) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET on_server = excluded.on_server, last_success = excluded.last_success,
			last_error = excluded.last_error, had_uidl = excluded.had_uidl, memory = excluded.memory`,
			account, st.OnServer, unix(st.LastSuccess), st.LastError, st.HadUIDL, st.Memory)
	})
}

// KnownAccount is an account that the store remembers.
type KnownAccount struct {
	Name   string
	Memory string // see AccountState
	Stored int64  // messages ever stored
}

// Accounts returns the accounts that were polled into this store, sorted by name.
func (s *Store) Accounts(ctx context.Context) (list []KnownAccount, err error) {
	err = s.reader.rows(ctx, `SELECT name, memory, stored FROM account ORDER BY name`, nil,
		into(&list, func(k *KnownAccount) []any { return []any{&k.Name, &k.Memory, &k.Stored} }))
	return list, failure(err, "read the accounts")
}
