package mailstore

import (
	"bufio"
	"context"
	"database/sql"
	"io"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// writeLog replaces the log by what the index says, and sets seq when it did.
func (s *Store) writeLog(ctx context.Context, seq *int64) error {
	return atomicfile.WriteFunc(s.logPath(), 0o600, func(w io.Writer) error {
		t, err := s.reader.begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = t.Rollback() }() // it only read
		out := bufio.NewWriterSize(w, 1<<18)
		if err := dump(ctx, t, out); err != nil {
			return err
		}
		var last int64
		if err := t.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'log'`).Scan(&last); err != nil {
			return err
		}
		var end lines
		end.line('=', last)
		if _, err = out.Write(end.buf); err == nil {
			err = out.Flush()
		}
		if err == nil {
			*seq = last
		}
		return err
	})
}

// lastDeleted is the mailbox that was made last, if it is deleted: the log tells
// of it so that neither its id nor its UIDVALIDITY is given again.
const lastDeleted = `FROM sqlite_sequence JOIN meta ON key = 'uidvalidity' WHERE name = 'mailbox' AND seq NOT IN (SELECT id FROM mailbox)`

// dumps are the rows of an index as lines. Columns are texts, hashes (blobs)
// and numbers.
var dumps = []struct {
	letter byte
	query  string
}{
	{'I', `SELECT value FROM meta WHERE key = 'id'`},
	{'K', `SELECT id, names FROM keyword_set ORDER BY id`},
	{'M', `SELECT id, uidvalidity, uidnext, modseq, name, special_use FROM mailbox ORDER BY id`},
	{'M', `SELECT seq, value + 1, 1, 1, '', '' ` + lastDeleted},
	{'D', `SELECT seq ` + lastDeleted},
	{'A', `SELECT mailbox_id, uid, hash, c.size, received_at, system, keywords, saved_at
		FROM message JOIN content c ON c.id = content_id ORDER BY mailbox_id, uid`},
	{'X', `SELECT e.id, mailbox_id, uidvalidity, uid, hash, c.size, received_at, system, keywords, expunged_at, mailbox
		FROM expunged e JOIN content c ON c.id = content_id ORDER BY e.id`},
	{'N', `SELECT hash, found FROM content WHERE found`},
	{'L', `SELECT account, uidl, dup, iif(EXISTS (SELECT 1 FROM content c WHERE c.hash = ledger.hash
		AND (c.orphaned_at IS NULL OR EXISTS (SELECT 1 FROM expunged WHERE content_id = c.id))), substr(hash, 1, 9), hash), size, list_size, state, coalesce(stored_at, 0), coalesce(removed_at, 0)
		FROM ledger WHERE hash IS NOT NULL ORDER BY account, stored_at`},
	{'Q', `SELECT account, uidl, dup, doubt FROM ledger WHERE hash IS NOT NULL AND doubt <> 0 ORDER BY account, stored_at`},
	{'C', `SELECT name, stored FROM account`},
	{'H', `SELECT name, had_uidl FROM account`},
	{'+', `SELECT name FROM subscription`},
	{'V', `SELECT name, read_only, created_at, hash FROM device`},
	{'T', `SELECT name, read_only, folders, without_caps FROM device WHERE folders || without_caps <> ''`},
	{'O', `SELECT name, generated FROM device WHERE generated`},
	{'B', `SELECT name, lan FROM device WHERE lan`},
	{'s', `SELECT name, send FROM device WHERE send <> 0`},
	{'o', `SELECT value FROM meta WHERE key = 'outbox'`},
	{'q', `SELECT ` + outgoingColumns + ` FROM outgoing ORDER BY id`},
	{'n', `SELECT outgoing_id, place, asked FROM outgoing_dsn ORDER BY outgoing_id, place`},
	{'r', `SELECT outgoing_id, place, address, state, reply FROM outgoing_recipient ORDER BY outgoing_id, place`},
}

func dump(ctx context.Context, t *sql.Tx, out io.Writer) error {
	for _, d := range dumps {
		if err := dumpQuery(ctx, t, out, d.letter, d.query); err != nil {
			return err
		}
	}
	return nil
}

func dumpQuery(ctx context.Context, t *sql.Tx, out io.Writer, letter byte, query string) error {
	rows, err := t.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close() // Err tells what there is to tell
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, v := range values {
			switch b, _ := v.([]byte); len(b) {
			case len(Hash{}):
				values[i] = Hash(b)
			case len(shortHash{}):
				values[i] = shortHash(b)
			}
		}
		var l lines
		l.line(letter, values...)
		if _, err := out.Write(l.buf); err != nil {
			return err
		}
	}
	return rows.Err()
}
