package mailstore

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
)

// backupRefused requires that a backup is refused and that the one in dir stays.
func (r *rig) backupRefused(dir, why string) {
	r.t.Helper()
	before, err := os.ReadFile(filepath.Join(dir, manifestName))
	must(r.t, err)
	_, err = r.Backup(r.t.Context(), dir, BackupOptions{User: "ann"})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), why) || !strings.Contains(fault.Hint(err), "--replace") {
		r.t.Errorf("backup: %v, hint %q", err, fault.Hint(err))
	}
	after, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil || string(after) != string(before) {
		r.t.Errorf("the manifest was changed: %v", err)
	}
}

// second is another store, made an hour later.
func (r *rig) second() *rig {
	r.t.Helper()
	other := &rig{t: r.t, clock: &clock{start.Add(time.Hour)}, dir: filepath.Join(r.t.TempDir(), "users", "ann")}
	other.open()
	r.t.Cleanup(func() { must(r.t, other.Close()) })
	return other
}

func TestABackupIsOfOneStore(t *testing.T) {
	dir := t.TempDir()
	r := newStore(t)
	other := r.second()
	r.fill("INBOX", 3)
	r.backup(dir)
	other.fill("INBOX", 9)
	other.backupRefused(dir, "is of another mail store")
	if _, err := other.Backup(t.Context(), dir, BackupOptions{User: "bob", Replace: true}); err != nil {
		t.Fatal(err)
	}
	info, err := ReadBackup(dir)
	if err != nil || info.Store != other.ID() || info.User != "bob" || info.Messages != 9 {
		t.Errorf("%+v, %v", info, err)
	}
	c, _ := other.restored(dir)
	if c.box("INBOX").Messages != 9 || c.ID() != other.ID() {
		t.Error("the restored store is another one")
	}
}

// What clients delete can be undeleted first, and a later backup takes that up.
func TestAFullBackupIsNotReplacedByAnEmptyStore(t *testing.T) {
	dir := t.TempDir()
	r := newStore(t)
	r.fill("INBOX", 9)
	r.backup(dir)
	r.expunge("INBOX", 1, 2, 3, 4, 5, 6, 7, 8)
	r.clock.t = start.Add(2 * keepExpunged)
	must(t, r.Purge(t.Context()))
	r.backupRefused(dir, "far more mail")
	r.clock.t = start
	dir = t.TempDir()
	r.fill("INBOX", 9)
	r.backup(dir)
	r.expunge("INBOX", 9, 10, 11, 12, 13, 14, 15, 16, 17)
	if report := r.backup(dir); report.Messages != 1 {
		t.Errorf("report %+v", report)
	}
}

func TestABackupOfALaterStateIsNotReplaced(t *testing.T) {
	dir, early := t.TempDir(), t.TempDir()
	r := newStore(t)
	r.fill("INBOX", 3)
	r.backup(early)
	c, _ := r.restored(early)
	c.fill("INBOX", 1)
	c.backup(dir)
	r.backupRefused(dir, "later state")
}

// olderFormat makes the backup one of the version before stores had an identity.
func olderFormat(t *testing.T, dir string) {
	t.Helper()
	m, err := ReadBackup(dir)
	must(t, err)
	index := filepath.Join(dir, m.Index)
	edit(t, index, withoutSchema5, `DELETE FROM meta WHERE key IN ('id', 'generation')`, `DROP TABLE vanished`, `ALTER TABLE mailbox DROP COLUMN history_from`, `ALTER TABLE message DROP COLUMN saved_at`,
		`ALTER TABLE ledger DROP COLUMN doubt`, `DROP INDEX mailbox_special_use`, `PRAGMA user_version = 2`)
	rehash(t, dir, map[string]any{"format": 1, "taken_at": m.TakenAt, "index": m.Index, "messages": m.Messages, "files": m.Files})
}

// withoutSchema5 takes the last migrations back.
var withoutSchema5 = `DROP TABLE outgoing_dsn; DROP TABLE sending; ALTER TABLE device DROP COLUMN send; DROP TABLE outgoing_recipient; DROP TABLE outgoing; ALTER TABLE device DROP COLUMN lan; ALTER TABLE device DROP COLUMN generated;` + schema1[strings.Index(schema1, "CREATE TABLE summary"):strings.Index(schema1, "CREATE TABLE message")] + `
	INSERT INTO summary SELECT content_id, version - 1, s.data, e.data, h.data
		FROM structure s JOIN envelope e USING (content_id, version) JOIN header h USING (content_id, version);
	DROP TABLE structure; DROP TABLE envelope; DROP TABLE header`

func edit(t *testing.T, index string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(index))
	must(t, err)
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		must(t, err)
	}
	must(t, db.Close())
}

// rehash writes a manifest with the hash that its index has now.
func rehash(t *testing.T, dir string, m map[string]any) {
	t.Helper()
	h, err := contents.HashFile(t.Context(), filepath.Join(dir, m["index"].(string)))
	must(t, err)
	m["sha256"] = h.String()
	text, err := json.Marshal(m)
	must(t, err)
	must(t, atomicfile.Write(filepath.Join(dir, manifestName), 0o600, text))
}

func TestABackupOfAnEarlierVersionIsTakenOverIfItIsOfThisStore(t *testing.T) {
	dir := t.TempDir()
	r := newStore(t)
	r.fill("INBOX", 3)
	r.backup(dir)
	olderFormat(t, dir)
	c, _ := r.restored(dir)
	c.want("INBOX", r.lines("INBOX"))
	c.clean()

	other := r.second()
	other.fill("INBOX", 5)
	other.backupRefused(dir, "another mail store")
	r.backup(dir)
	if info, err := ReadBackup(dir); err != nil || info.Store != r.ID() {
		t.Errorf("%+v, %v", info, err)
	}
}

// Whoever can write to a backup can put an index there that works by itself, or
// that has other tables or impossible values.
func TestAnIndexThatIsNotOneOfPopbridgeIsNotRestored(t *testing.T) {
	for name, statements := range map[string][]string{
		"trigger":       {`CREATE TRIGGER plant AFTER UPDATE ON content BEGIN INSERT INTO subscription VALUES ('x'); END`},
		"view":          {`CREATE VIEW more AS SELECT * FROM device`},
		"table":         {`CREATE TABLE more (x)`},
		"index":         {`CREATE INDEX more ON device (hash)`},
		"other columns": {`ALTER TABLE device ADD COLUMN x TEXT DEFAULT (1)`},
		"view as table": {`ALTER TABLE subscription RENAME TO s2`, `CREATE VIEW subscription AS SELECT name FROM s2`},
		"short hash":    {`UPDATE content SET hash = x'2e2e2f' WHERE id = 1`},
		"wrong type":    {`PRAGMA writable_schema = ON`, `UPDATE sqlite_schema SET sql = replace(sql, 'size        INTEGER', 'size        TEXT') WHERE name = 'content'`},
		"no version":    {`PRAGMA user_version = 0`},
		"negative size": {`UPDATE message SET size = -1`},
		"LAN, chosen":   {`INSERT INTO device (name, hash, read_only, created_at, lan) VALUES ('x', 'y', 0, 1, 1)`},
		"UIDNEXT":       {`UPDATE mailbox SET uidnext = 1 << 40`},
		"outgoing hash": {`UPDATE outgoing SET hash = x'2e2e2f'`},
		"two lines":     {`UPDATE outgoing_recipient SET address = 'a@b.example>' || char(13, 10) || 'DATA'`},
		"sender":        {`UPDATE outgoing SET sender = char(10)`},
		"no such state": {`UPDATE outgoing SET state = 6`},
		"no such end":   {`UPDATE outgoing_recipient SET state = 5`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			r.fill("INBOX", 2)
			r.submit(r.submission(1))
			dir := t.TempDir()
			r.backup(dir)
			m, err := ReadBackup(dir)
			must(t, err)
			edit(t, filepath.Join(dir, m.Index), statements...)
			rehash(t, dir, map[string]any{"format": 2, "store": m.Store, "index": m.Index, "messages": 2})
			into := filepath.Join(t.TempDir(), "x")
			_, err = Restore(t.Context(), dir, into, RestoreOptions{Devices: always})
			wantKind(t, err, fault.Corrupt)
			if _, err := os.Stat(into); err == nil {
				t.Error("something was restored")
			}
		})
	}
}

func TestDevicesOfABackupComeBackOnlyWhenAskedFor(t *testing.T) {
	r := newStore(t)
	must(t, r.AddDevice(t.Context(), Device{Name: "phone"}, "secret-secret"))
	dir := t.TempDir()
	r.backup(dir)
	for _, wanted := range []bool{false, true} {
		into := filepath.Join(t.TempDir(), "x")
		report, err := Restore(t.Context(), dir, into, RestoreOptions{Devices: func(hash string) bool { return len(hash) == 64 && wanted }})
		if err != nil || len(report.Devices) != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		s, err := Open(t.Context(), into, Options{})
		must(t, err)
		if _, err := s.Authenticate(t.Context(), "secret-secret"); (err == nil) != wanted {
			t.Errorf("with devices %v: %v", wanted, err)
		}
		must(t, s.Close())
	}
}

func TestABackupIntoAPreparedFolderIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege")
	}
	for _, name := range []string{"mail", "mail/2a", manifestName, "index-1.db"} {
		t.Run(name, func(t *testing.T) { prepared(t, name) })
	}
}

func prepared(t *testing.T, name string) {
	r := newStore(t)
	r.fill("INBOX", 1)
	dir, foreign := t.TempDir(), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
	must(t, os.Symlink(foreign, filepath.Join(dir, name)))
	_, err := r.Backup(t.Context(), dir, BackupOptions{Replace: true})
	wantKind(t, err, fault.Denied)
	if left, err := os.ReadDir(foreign); err != nil || len(left) > 0 {
		t.Errorf("%s: written to %v, %v", name, left, err)
	}
	_, err = Restore(t.Context(), dir, filepath.Join(t.TempDir(), "x"), RestoreOptions{})
	if err == nil {
		t.Errorf("%s: restored", name)
	}
	must(t, os.Remove(filepath.Join(dir, name)))
	must(t, os.MkdirAll(filepath.Join(dir, "mail"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "mail"), 0o777))
	_, err = r.Backup(t.Context(), dir, BackupOptions{Replace: true})
	wantKind(t, err, fault.Denied)
}
