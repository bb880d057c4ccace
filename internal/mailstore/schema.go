package mailstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// migrations[i] takes the index from schema version i to i+1. A step that was
// ever released is never edited.
var migrations = []string{schema1, schema2, schema3, schema4, schema5, schema6, schema7, schema8}

const schema1 = `
CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('log', 0);

CREATE TABLE mailbox (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	name        TEXT NOT NULL UNIQUE,
	special_use TEXT NOT NULL DEFAULT '',
	uidvalidity INTEGER NOT NULL UNIQUE,
	uidnext     INTEGER NOT NULL DEFAULT 1,
	modseq      INTEGER NOT NULL DEFAULT 1,
	recent_from INTEGER NOT NULL DEFAULT 1,
	messages    INTEGER NOT NULL DEFAULT 0,
	unseen      INTEGER NOT NULL DEFAULT 0,
	deleted     INTEGER NOT NULL DEFAULT 0,
	recent      INTEGER NOT NULL DEFAULT 0,
	size        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE subscription (
	name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE content (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	hash        BLOB NOT NULL UNIQUE,
	size        INTEGER NOT NULL,
	orphaned_at INTEGER,
	missing     INTEGER NOT NULL DEFAULT 0,
	found       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX content_orphaned ON content (orphaned_at) WHERE orphaned_at IS NOT NULL;

CREATE TABLE summary (
	content_id INTEGER PRIMARY KEY REFERENCES content (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL,
	structure  BLOB NOT NULL,
	envelope   BLOB NOT NULL,
	header     BLOB NOT NULL
) STRICT;

CREATE TABLE message (
	mailbox_id  INTEGER NOT NULL REFERENCES mailbox (id),
	uid         INTEGER NOT NULL,
	content_id  INTEGER NOT NULL REFERENCES content (id),
	system      INTEGER NOT NULL,
	keywords    INTEGER NOT NULL,
	modseq      INTEGER NOT NULL,
	received_at INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	PRIMARY KEY (mailbox_id, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_content ON message (content_id);

CREATE TABLE expunged (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	mailbox     TEXT NOT NULL,
	mailbox_id  INTEGER NOT NULL,
	uidvalidity INTEGER NOT NULL,
	uid         INTEGER NOT NULL,
	content_id  INTEGER NOT NULL REFERENCES content (id),
	system      INTEGER NOT NULL,
	keywords    INTEGER NOT NULL,
	received_at INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	expunged_at INTEGER NOT NULL
) STRICT;
CREATE INDEX expunged_content ON expunged (content_id);
CREATE INDEX expunged_at ON expunged (expunged_at);

CREATE TABLE keyword_set (
	id    INTEGER PRIMARY KEY,
	names TEXT NOT NULL
) STRICT;

CREATE TABLE account (
	name         TEXT PRIMARY KEY,
	stored       INTEGER NOT NULL DEFAULT 0,
	on_server    INTEGER NOT NULL DEFAULT 0,
	last_success INTEGER,
	last_error   TEXT NOT NULL DEFAULT '',
	had_uidl     INTEGER NOT NULL DEFAULT 0,
	memory       TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
	account        TEXT NOT NULL,
	uidl           TEXT NOT NULL,
	dup            INTEGER NOT NULL,
	hash           BLOB,
	size           INTEGER NOT NULL,
	list_size      INTEGER NOT NULL,
	state          INTEGER NOT NULL,
	stored_at      INTEGER,
	last_listed_at INTEGER,
	absent         INTEGER NOT NULL DEFAULT 0,
	removed_at     INTEGER,
	PRIMARY KEY (account, uidl, dup)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
	name         TEXT PRIMARY KEY,
	hash         TEXT NOT NULL,
	read_only    INTEGER NOT NULL,
	created_at   INTEGER NOT NULL,
	last_used_at INTEGER
) STRICT, WITHOUT ROWID;
`

const schema2 = `
ALTER TABLE device ADD COLUMN folders TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN without_caps TEXT NOT NULL DEFAULT '';
`

// identity.go says what id and generation are.
const schema3 = `
ALTER TABLE ledger ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;
INSERT INTO meta (key, value) VALUES ('id', random() & 9223372036854775807);
INSERT INTO meta (key, value) SELECT 'generation', (SELECT value FROM meta WHERE key = 'log') + coalesce(sum(uidnext), 0) + coalesce(max(modseq), 0) FROM mailbox;
UPDATE mailbox SET special_use = '' WHERE special_use <> '' AND EXISTS (SELECT 1 FROM mailbox o WHERE o.special_use = mailbox.special_use AND o.id < mailbox.id);
CREATE UNIQUE INDEX mailbox_special_use ON mailbox (special_use) WHERE special_use <> '';
`

// vanished.go says what history_from and vanished are.
const schema4 = `
ALTER TABLE message ADD COLUMN saved_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN history_from INTEGER NOT NULL DEFAULT 1;
UPDATE mailbox SET history_from = modseq;
CREATE TABLE vanished (
	mailbox_id INTEGER NOT NULL,
	modseq     INTEGER NOT NULL,
	first      INTEGER NOT NULL,
	last       INTEGER NOT NULL,
	PRIMARY KEY (mailbox_id, modseq, first)
) STRICT, WITHOUT ROWID;
`

// content.go says why the pieces of summaries are apart. Those of before are of a
// former message.SummaryVersion, and so made again when they are read first.
const schema5 = `
CREATE TABLE envelope (
	content_id INTEGER PRIMARY KEY REFERENCES content (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL,
	data       BLOB NOT NULL
) STRICT;
CREATE TABLE header (
	content_id INTEGER PRIMARY KEY REFERENCES content (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL,
	data       BLOB NOT NULL
) STRICT;
CREATE TABLE structure (
	content_id INTEGER PRIMARY KEY REFERENCES content (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL,
	data       BLOB NOT NULL
) STRICT;
DROP TABLE summary;
`

// Of passwords from before it is not known whether they were generated.
const schema6 = `
ALTER TABLE device ADD COLUMN generated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN lan INTEGER NOT NULL DEFAULT 0;
`

// A message that has left the Outbox stays, with uid 0, for what comes back of it (see
// sent.go). head and body are its marks, copy is its content in \Sent, zeros for none.
// The texts of in_reply_to are separated by blanks.
const schema7 = `
CREATE TABLE outgoing (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	uid         INTEGER NOT NULL,
	hash        BLOB NOT NULL,
	account     TEXT NOT NULL,
	device      TEXT NOT NULL,
	sender      TEXT NOT NULL,
	message_id  TEXT NOT NULL,
	in_reply_to TEXT NOT NULL,
	eight_bit   INTEGER NOT NULL,
	utf8        INTEGER NOT NULL,
	to_self     INTEGER NOT NULL,
	queued_at   INTEGER NOT NULL,
	not_before  INTEGER NOT NULL,
	first_try   INTEGER NOT NULL,
	attempts    INTEGER NOT NULL,
	state       INTEGER NOT NULL,
	last_error  TEXT NOT NULL,
	head        BLOB NOT NULL,
	body        BLOB NOT NULL,
	copy        BLOB NOT NULL,
	copy_box    INTEGER NOT NULL,
	copy_uid    INTEGER NOT NULL,
	sent_at     INTEGER NOT NULL,
	saved       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX outgoing_uid ON outgoing (uid) WHERE uid <> 0;
CREATE INDEX outgoing_head ON outgoing (head);
CREATE TABLE outgoing_recipient (
	outgoing_id INTEGER NOT NULL REFERENCES outgoing (id),
	place       INTEGER NOT NULL,
	address     TEXT NOT NULL,
	state       INTEGER NOT NULL,
	reply       TEXT NOT NULL,
	PRIMARY KEY (outgoing_id, place)
) STRICT, WITHOUT ROWID;
`

// memory.go says what sending is for.
const schema8 = `
ALTER TABLE device ADD COLUMN send INTEGER NOT NULL DEFAULT 0;
CREATE TABLE sending (
	account TEXT PRIMARY KEY,
	memory  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE outgoing_dsn (
	outgoing_id INTEGER NOT NULL REFERENCES outgoing (id),
	place       INTEGER NOT NULL,
	asked       TEXT NOT NULL,
	PRIMARY KEY (outgoing_id, place)
) STRICT, WITHOUT ROWID;
`

// lanSchema is the first whose devices have them.
const lanSchema = 6

// outgoingSchema is the first with messages on their way out.
const outgoingSchema = 7

// sendSchema is the first that says of devices whether they may send.
const sendSchema = 8

func setVersion(n int) string { return "PRAGMA user_version = " + strconv.Itoa(n) }

// schemaVersion looks at the index without changing anything in it.
func (s *Store) schemaVersion(ctx context.Context, path string) (int, error) {
	version := 0
	_, err := os.Stat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if !fresh {
		var r reader
		if err := r.open(path); err != nil {
			return 0, err
		}
		err := r.get(ctx, `PRAGMA user_version`, nil, &version)
		if err == nil && s.id != 0 && version <= len(migrations) {
			if version < identitySchema {
				err = s.another("another mail store is in " + s.dir)
			} else {
				_, err = s.identify(ctx, &r)
			}
		}
		if err = errors.Join(err, r.close()); err != nil {
			return 0, err
		}
	}
	if version > len(migrations) {
		return 0, fault.New(fault.Config, "the mail store was written by a newer version of popbridge",
			"update popbridge; the store was not changed")
	}
	if version == 0 {
		// A new index beside old mail would give everything new UIDs.
		if has, err := s.hasMail(); err != nil || has {
			return 0, errors.Join(err, fault.New(fault.Corrupt, "message files are there, but the index of the mail store is missing",
				repairHint))
		}
		if s.id != 0 {
			return 0, s.another("no mail store is in " + s.dir)
		}
	}
	return version, nil
}

// migrate takes the index to the schema of this program, in one transaction. A
// new store is filled in the same one.
func (s *Store) migrate(ctx context.Context, fill func(*tx) error) error {
	s.keywords.Replace(mailflags.NewTable())
	return s.write(ctx, "prepare the index", func(t *tx) error {
		version := 0
		if err := t.get(`PRAGMA user_version`, nil, &version); err != nil {
			return err
		}
		fresh := version == 0
		for ; version < len(migrations); version++ {
			if _, err := s.writer.conn.ExecContext(context.Background(), migrations[version]); err != nil {
				return err
			}
			if _, err := s.writer.conn.ExecContext(context.Background(), setVersion(version+1)); err != nil {
				return err
			}
		}
		if !fresh {
			var id int64
			err := t.get(`SELECT value FROM meta WHERE key = 'id'`, nil, &id)
			t.log.line('I', id) // the recovery log is behind now, and written again
			return err
		}
		return fill(t)
	})
}

// formerPattern matches the copies that keepFormer makes.
const formerPattern = "index.db.schema-*"

// keepFormer copies the index of an earlier version before it is migrated, as
// index.db.schema-N beside it, and removes the copies of versions before that: what a
// migration would do wrong could be repaired by hand.
func (s *Store) keepFormer(ctx context.Context, version int) error {
	former, err := atomicfile.Match(s.dir, formerPattern)
	if err != nil {
		return err
	}
	halves, err := atomicfile.Match(s.dir, indexPattern) // of copies that were interrupted
	if err != nil {
		return err
	}
	path, err := s.copyIndex(ctx, s.dir)
	if err != nil {
		return err
	}
	if err := s.step("keep"); err != nil {
		return err
	}
	name := filepath.Join(s.dir, "index.db.schema-"+strconv.Itoa(version))
	if err := atomicfile.Rename(path, name); err != nil {
		return err
	}
	for _, old := range append(former, halves...) {
		if old != name {
			err = errors.Join(err, atomicfile.Remove(old))
		}
	}
	return errors.Join(err, atomicfile.SyncDir(s.dir))
}
