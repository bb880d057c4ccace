package mailstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// dsn builds the data source name. Pragmas stand in it because they belong to
// a connection: an Exec on a pool sets them on one connection only.
func dsn(path string, pragmas ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/Users becomes file:///C:/Users
	}
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// writePragmas make a commit durable when it returns. fullfsync matters on
// macOS, where fsync alone leaves data in the cache of the drive.
var writePragmas = []string{
	"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	"fullfsync(1)", "checkpoint_fullfsync(1)", "cache_size(-8000)",
}

// Readers have small caches, as there are several and an agent stays for months:
// the pages are in the system's cache too.
var readPragmas = []string{"query_only(1)", "cache_size(-2000)"}

func each(st *sql.Stmt, ctx context.Context, args []any, scan func(*sql.Rows) error) error {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	for rows.Next() && err == nil {
		err = scan(rows)
	}
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = rows.Err()
	}
	return err
}

// into returns a function for rows that appends what each has to a list.
func into[T any](list *[]T, columns func(*T) []any) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var v T
		err := rows.Scan(columns(&v)...)
		*list = append(*list, v)
		return err
	}
}

// column is what a row with one column is scanned into.
func column[T any](v *T) []any { return []any{v} }

// list writes ids so that json_each can take them: one statement, whatever
// their number.
func list[T any](ids []T) string {
	b, _ := json.Marshal(ids) // integers and strings always marshal
	return string(b)
}

// when is the reverse of unix.
func when(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(n.Int64, 0)
}

// unix returns the time as stored: NULL for the zero time.
func unix(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}

// hashColumn scans a hash, all zeros for NULL.
type hashColumn Hash

func hashInto(h *Hash) *hashColumn { return (*hashColumn)(h) }

// Scan takes over a column (sql.Scanner).
func (h *hashColumn) Scan(column any) error {
	b, _ := column.([]byte)
	*h = hashColumn{}
	copy(h[:], b)
	return nil
}
