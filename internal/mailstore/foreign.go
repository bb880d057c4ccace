package mailstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// checkIndex verifies an index that came from a backup, before anything else
// is read from it or written to it: its schema is exactly the one that this
// program makes, without a trigger, a view or a table more, and all pages, rows
// and types are sound (PRAGMA integrity_check knows the types of STRICT tables).
func checkIndex(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "query_only(1)", "trusted_schema(0)", "cell_size_check(1)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var version int
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return strangeIndex(err)
	}
	switch {
	case version > len(migrations):
		return fault.New(fault.Config, "the mail store was written by a newer version of popbridge", "update popbridge")
	case version < 1:
		return strangeIndex(fmt.Errorf("version %d", version))
	}
	got, err := schemaOf(ctx, db)
	if err != nil {
		return strangeIndex(err)
	}
	want, err := schemaAt(ctx, version)
	if err != nil {
		return err
	}
	if got != want {
		return strangeIndex(errors.New("its tables are not those of a mail store"))
	}
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil || verdict != "ok" {
		return strangeIndex(errors.Join(err, errors.New(fault.Quote(verdict))))
	}
	return checkValues(ctx, db, version)
}

// checkValues verifies what the schema does not: the lengths of hashes, from
// which the names of files are made, and that a device of the local network has a
// password that was generated.
func checkValues(ctx context.Context, db *sql.DB, version int) error {
	var strange int
	err := db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM content WHERE length(hash) <> 32 OR size < 0)
		+ (SELECT count(*) FROM ledger WHERE hash IS NOT NULL AND length(hash) <> 32)
		+ (SELECT count(*) FROM message WHERE uid < 1 OR uid > 4294967295 OR size < 0)
		+ (SELECT count(*) FROM mailbox WHERE uidvalidity < 1 OR uidvalidity > 4294967295 OR uidnext < 1 OR uidnext > 4294967295)`).Scan(&strange)
	if err == nil && strange == 0 && version >= lanSchema {
		err = db.QueryRowContext(ctx, `SELECT count(*) FROM device WHERE generated NOT IN (0, 1) OR lan NOT IN (0, generated)`).Scan(&strange)
	}
	if err == nil && strange == 0 && version >= outgoingSchema {
		err = db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM outgoing WHERE length(hash) <> 32 OR length(head) <> 32 OR length(body) <> 32 OR length(copy) <> 32
			OR state NOT BETWEEN 0 AND 5 OR sender GLOB ?1) + (SELECT count(*) FROM outgoing_recipient WHERE state NOT BETWEEN 1 AND 4 OR address GLOB ?1)`,
			"*[\x01-\x1f\x7f]*").Scan(&strange)
	}
	if err == nil && strange == 0 && version >= sendSchema {
		err = db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM device WHERE send NOT BETWEEN 0 AND 2) + (SELECT count(*) FROM outgoing_dsn WHERE asked GLOB ?1)`,
			"*[\x01-\x1f\x7f]*").Scan(&strange)
	}
	if err == nil && strange > 0 {
		err = fmt.Errorf("%d rows have impossible values", strange)
	}
	return strangeIndex(err)
}

func strangeIndex(err error) error {
	return fault.Wrap(err, fault.Corrupt, "the index in the backup is damaged or not one of popbridge", "use another backup")
}

// schemaOf returns the text of a schema.
func schemaOf(ctx context.Context, db *sql.DB) (string, error) {
	rows, err := db.QueryContext(ctx, `SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var kind, name, table, text string
		if err := rows.Scan(&kind, &name, &table, &text); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%q %q %q %q\n", kind, name, table, text)
	}
	return b.String(), rows.Err()
}

// schemaAt returns the schema of a version, as this program makes it.
func schemaAt(ctx context.Context, version int) (text string, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, step := range migrations[:version] {
		if _, err := db.ExecContext(ctx, step); err != nil {
			return "", err
		}
	}
	return schemaOf(ctx, db)
}
