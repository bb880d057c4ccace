package mailstore

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// madeAt is when the stores of testdata/schemas were: what was expunged in them is kept.
var madeAt = time.Date(2026, 11, 27, 1, 0, 0, 0, time.UTC)

// ofSchema is a store of testdata/schemas that is not open yet, as a program with that
// schema has left it.
func ofSchema(t *testing.T, version int) *rig {
	parallel(t)
	r := &rig{t: t, clock: &clock{madeAt}, dir: filepath.Join(t.TempDir(), "ann")}
	testkit.Unpack(t, archiveOf(version), r.dir)
	return r
}

func archiveOf(version int) string { return fmt.Sprintf("testdata/schemas/%d.tar.gz", version) }

// index is where the index is, also before the store is open.
func (r *rig) index() string { return filepath.Join(r.dir, "index.db") }

// TestEachFormerSchemaHasAStore: who adds a step to migrations makes one first, with the
// last program that has the schema before it.
func TestEachFormerSchemaHasAStore(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		if _, err := os.Stat(archiveOf(version)); err != nil {
			t.Errorf("make a store with schema %d, as testdata/schemas/README.md says: %v", version, err)
		}
	}
}

// table is what is in a table of an index.
type table struct {
	columns string // separated by commas
	rows    []string
}

// tablesOf reads tables of an index: those of want, by its columns, or all where it is
// nil.
func tablesOf(t *testing.T, path string, want map[string]table) (tables map[string]table, version int) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "query_only(1)"))
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	must(t, db.QueryRow(`PRAGMA user_version`).Scan(&version))
	list := func(query string) (out []string) {
		rows, err := db.Query(query)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var s string
			must(t, rows.Scan(&s))
			out = append(out, s)
		}
		must(t, rows.Err())
		return out
	}
	tables = map[string]table{}
	for _, name := range list(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`) {
		columns := want[name].columns
		if want == nil {
			columns = strings.Join(list(`SELECT name FROM pragma_table_info('`+name+`')`), ",")
		} else if columns == "" {
			continue
		}
		quoted := "quote(" + strings.ReplaceAll(columns, ",", ") || ' ' || quote(") + ")"
		tables[name] = table{columns, list(`SELECT ` + quoted + ` FROM ` + name + ` ORDER BY 1`)}
	}
	return tables, version
}

// TestEachSchemaIsMigrated opens the stores that former programs have left.
func TestEachSchemaIsMigrated(t *testing.T) {
	archives, err := filepath.Glob("testdata/schemas/*.tar.gz")
	must(t, err)
	for version := 1; version <= len(archives); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) { migrated(t, version) })
	}
}

func migrated(t *testing.T, version int) {
	r := ofSchema(t, version)
	before, made := tablesOf(t, r.index(), nil)
	if made != version || len(before["message"].rows) != 14 || len(before["expunged"].rows) != 2 || len(before["ledger"].rows) != 13 {
		t.Fatalf("schema %d with %d messages, %d expunged and %d in the ledger", made, len(before["message"].rows), len(before["expunged"].rows), len(before["ledger"].rows))
	}
	r.open()
	t.Cleanup(func() { must(t, r.Close()) })
	if version < len(migrations) {
		r.wantFormer(version, 14)
		kept, _ := tablesOf(t, filepath.Join(r.dir, fmt.Sprint("index.db.schema-", version)), nil)
		if diff := cmp.Diff(before, kept, cmp.AllowUnexported(table{})); diff != "" {
			t.Errorf("the copy is not the former index (-want +got)\n%s", diff)
		}
	}
	// Numbers, flags, modification sequences, ledger, logins: all as it was. The
	// summaries are made again, and meta says how far the store has come.
	after, now := tablesOf(t, r.index(), before)
	for _, name := range []string{"meta", "summary"} {
		delete(before, name)
		delete(after, name)
	}
	if diff := cmp.Diff(before, after, cmp.AllowUnexported(table{})); diff != "" || now != len(migrations) {
		t.Errorf("schema %d (-want +got)\n%s", now, diff)
	}
	r.clean()
	if d, err := r.Authenticate(t.Context(), "correct horse battery"); err != nil || d.Name != "laptop" {
		t.Errorf("login: %v, %v", d, err)
	}
	state := r.state()
	r.lose(removeIndex)
	equal(t, "rebuilt from the log", r.state(), state)
	r.undeleteAll()
	r.clean()
	r.append("INBOX", 1)
}

// undeleteAll brings back what was expunged, which is two messages.
func (r *rig) undeleteAll() {
	r.t.Helper()
	gone, err := r.Expunged(r.t.Context(), ExpungedQuery{})
	must(r.t, err)
	if len(gone) != 2 || gone[0].Mailbox != "INBOX" {
		r.t.Fatalf("expunged %+v", gone)
	}
	before := r.box("INBOX")
	_, err = r.Undelete(r.t.Context(), []int64{gone[0].ID, gone[1].ID})
	must(r.t, err)
	if got := r.box("INBOX"); got.Messages != before.Messages+2 {
		r.t.Errorf("%d messages, were %d", got.Messages, before.Messages)
	}
	if r.lines("INBOX") == "" { // reads each file
		r.t.Error("no messages")
	}
}

// TestAKillDuringAMigration opens what a kill leaves at each step: it is the former
// store or the new one, and in any case nothing is lost. A step that fails changes
// nothing.
func TestAKillDuringAMigration(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			r := ofSchema(t, version)
			before, _ := tablesOf(t, r.index(), nil)
			delete(before, "meta")
			delete(before, "summary")
			var kills []string
			seen := map[string]bool{}
			killed := func(step string) error {
				seen[step] = true
				dir := filepath.Join(t.TempDir(), "ann")
				kills = append(kills, dir)
				return os.CopyFS(dir, os.DirFS(r.dir))
			}
			must(t, r.openWith(killed))
			must(t, r.Close())
			for _, step := range []string{"keep", "commit"} {
				if !seen[step] {
					t.Errorf("never at step %s", step)
				}
			}
			for i, dir := range kills {
				c := &rig{t: t, clock: r.clock, dir: dir}
				c.open()
				c.clean()
				after, now := tablesOf(t, c.index(), before)
				if diff := cmp.Diff(before, after, cmp.AllowUnexported(table{})); diff != "" || now != len(migrations) {
					t.Errorf("kill %d: schema %d (-want +got)\n%s", i, now, diff)
				}
				c.wantFormer(version, 14)
				must(t, c.Close())
			}
		})
	}
}

// openWith opens the store with a hook at its first step.
func (r *rig) openWith(hook func(string) error) error {
	s, err := prepare(r.dir, Options{Now: r.clock.now})
	must(r.t, err)
	s.hook = hook
	if err := s.open(context.Background(), Options{}); err != nil {
		must(r.t, s.Close())
		return failure(err, "open the mail store")
	}
	r.Store = s
	return nil
}

// TestAMigrationThatFails leaves the former store, and is made at the next start.
func TestAMigrationThatFails(t *testing.T) {
	for _, step := range []string{"keep", "commit"} {
		t.Run(step, func(t *testing.T) {
			r := ofSchema(t, len(migrations)-1)
			before, _ := tablesOf(t, r.index(), nil)
			err := r.openWith(func(s string) error {
				if s == step {
					return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
				}
				return nil
			})
			wantKind(t, err, fault.Full)
			if fault.Hint(err) == "" {
				t.Error("no hint")
			}
			after, version := tablesOf(t, r.index(), nil)
			if diff := cmp.Diff(before, after, cmp.AllowUnexported(table{})); diff != "" || version != len(migrations)-1 {
				t.Errorf("schema %d (-want +got)\n%s", version, diff)
			}
			r.open()
			r.wantFormer(len(migrations)-1, 14)
			r.clean()
			must(t, r.Close())
		})
	}
}

// TestTheWayBackToAFormerIndex follows docs/backups.md, with today's program in the
// part of the former one: the copy is older than the log, which only a repair accepts,
// and a repair has all that came since.
func TestTheWayBackToAFormerIndex(t *testing.T) {
	version := len(migrations) - 1
	r := ofSchema(t, version)
	r.open()
	r.append("INBOX", 1)
	uid := r.append("INBOX", 2, `\Flagged`)
	state := r.state()
	must(t, r.Close())
	former := filepath.Join(r.dir, fmt.Sprint("index.db.schema-", version))
	must(t, atomicfile.Rename(former, r.index()))
	r.refused(fault.Corrupt)
	report := r.lose(func(string) {})
	if len(report.Left) > 0 {
		t.Errorf("left %+v", report.Left)
	}
	equal(t, "all is back", r.state(), state)
	r.clean()
	if next := r.append("INBOX", 3); next <= uid || !slices.Contains(r.view("INBOX").Snapshot().UIDs, uid) {
		t.Errorf("UID %d after %d", next, uid)
	}
	must(t, r.Close())
}
