package mailstore

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// fixturePassword is what mail clients log in with in the stores of the fixtures.
const fixturePassword = "a-password-of-a-mail-program"

func fixture(version int) string {
	return filepath.Join("testdata", "schemas", fmt.Sprint(version, ".tar.gz"))
}

// unpack writes the store of a user as the last program with that schema left it.
func unpack(t *testing.T, version int, user, dir string) {
	t.Helper()
	f, err := os.Open(fixture(version))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	files := 0
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		name, ours := strings.CutPrefix(h.Name, "users/"+user+"/")
		if !ours {
			continue
		}
		files++
		data, err := io.ReadAll(r)
		must(t, err)
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, data, 0o600))
	}
	if files == 0 {
		t.Fatalf("schema %d has no %s", version, user)
	}
}

// oldStore is a store of an earlier schema that is not open yet.
func oldStore(t *testing.T, version int) *rig {
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(t.TempDir(), "ann")}
	unpack(t, version, "ann", r.dir)
	return r
}

func (r *rig) index() string { return filepath.Join(r.dir, "index.db") }

// TestEachSchemaHasAFixture: before a migration is added, the store of the schema
// before it is kept; testdata/schemas/README.md says how.
func TestEachSchemaHasAFixture(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		dir := t.TempDir()
		unpack(t, version, "ann", dir)
		if got := int(number(t, filepath.Join(dir, "index.db"), `PRAGMA user_version`)); got != version {
			t.Errorf("the fixture of schema %d has schema %d", version, got)
		}
	}
}

func number(t *testing.T, index, query string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(index))
	must(t, err)
	must(t, db.QueryRow(query).Scan(&n))
	must(t, db.Close())
	return n
}

// TestAStoreOfEachSchema is opened, and nothing in it is other than it was.
func TestAStoreOfEachSchema(t *testing.T) {
	for version := 1; version <= len(migrations); version++ {
		if _, err := os.Stat(fixture(version)); err != nil && version == len(migrations) {
			continue // it is made when the next migration comes
		}
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := oldStore(t, version)
			original := filepath.Join(t.TempDir(), "index.db")
			must(t, copyFile(r.index(), original))
			files := mailFiles(t, r.dir)
			r.open()
			if version < len(migrations) {
				r.wantFormer(version, int(number(t, original, `SELECT count(*) FROM message`)))
				equal(t, "the copy of the former index", rows(t, filepath.Join(r.dir, fmt.Sprint("index.db.schema-", version)), original), rows(t, original, original))
			}
			equal(t, "the index", rows(t, r.index(), original), rows(t, original, original))
			equal(t, "the message files", mailFiles(t, r.dir), files)
			r.clean()
			r.usable(t)
			must(t, r.Close())
		})
	}
}

// usable does with a store of a fixture what its owner would.
func (r *rig) usable(t *testing.T) {
	t.Helper()
	if _, err := r.Authenticate(t.Context(), fixturePassword); err != nil {
		t.Errorf("log in: %v", err)
	}
	entries, err := r.Ledger(t.Context(), "home")
	must(t, err)
	if len(entries) < 8 {
		t.Errorf("%d entries in the ledger", len(entries))
	}
	for _, e := range entries { // what is known already is not stored again
		d := Delivery{Mailbox: r.id("INBOX"), Message: r.spool(string(r.read(e.Hash))), ReceivedAt: start, Origin: &e.Origin}
		if got := r.deliver(d); !got[0].Duplicate {
			t.Errorf("%s was stored twice", e.UIDL)
		}
	}
	before := r.box("INBOX").Messages
	expunged, err := r.Expunged(t.Context(), ExpungedQuery{})
	must(t, err)
	for _, e := range expunged {
		_, err := r.Undelete(t.Context(), []int64{e.ID})
		must(t, err)
	}
	if got := r.box("INBOX").Messages; len(expunged) != 2 || got != before+2 {
		t.Errorf("%d messages, %d expunged ones are back, then %d", before, len(expunged), got)
	}
	state := r.state()
	r.lose(removeIndex)
	equal(t, "rebuilt from its recovery log", r.state(), state)
	r.clean()
}

// rows are all rows of the tables and columns that a former index has; those of meta
// and those that can be made again are left out.
func rows(t *testing.T, index, former string) string {
	t.Helper()
	was, err := sql.Open("sqlite", dsn(former))
	must(t, err)
	defer was.Close()
	db, err := sql.Open("sqlite", dsn(index))
	must(t, err)
	defer db.Close()
	var b strings.Builder
	for _, table := range []string{"mailbox", "subscription", "content", "message", "expunged", "keyword_set", "account", "ledger", "device"} {
		var columns string
		must(t, was.QueryRow(`SELECT group_concat('quote(' || name || ')', '|| '' '' ||') FROM pragma_table_info(?)`, table).Scan(&columns))
		found, err := db.Query("SELECT " + columns + " FROM " + table + " ORDER BY 1")
		must(t, err)
		n := 0
		for ; found.Next(); n++ {
			var row string
			must(t, found.Scan(&row))
			fmt.Fprintln(&b, table, row)
		}
		must(t, errors.Join(found.Err(), found.Close()))
		if n == 0 {
			t.Errorf("%s of the fixture is empty", table)
		}
	}
	return b.String()
}

// mailFiles are the names and bytes of all message files.
func mailFiles(t *testing.T, dir string) string {
	t.Helper()
	var files strings.Builder
	must(t, fs.WalkDir(os.DirFS(filepath.Join(dir, "mail")), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, "mail", filepath.FromSlash(name)))
		fmt.Fprintf(&files, "%s %q\n", name, data)
		return err
	}))
	return files.String()
}

// openAt opens the store with a hook from the start.
func (r *rig) openAt(hook func(step string) error) error {
	s, err := prepare(r.dir, Options{Now: r.clock.now, KeepExpunged: keepExpunged})
	must(r.t, err)
	s.hook = hook
	err = failure(s.open(context.Background(), Options{}), "open the mail store")
	return errors.Join(err, s.Close())
}

// TestAnInterruptedMigration: whatever the step it ends at, the store is the former one
// or the new one.
func TestAnInterruptedMigration(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			r := oldStore(t, version)
			former := filepath.Join(t.TempDir(), "index.db")
			must(t, copyFile(r.index(), former))
			log, err := os.ReadFile(filepath.Join(r.dir, "recovery.log"))
			must(t, err)
			want := rows(t, former, former)
			var steps, dirs []string
			must(t, r.openAt(func(step string) error {
				dir := filepath.Join(t.TempDir(), fmt.Sprint(len(dirs)))
				steps, dirs = append(steps, step), append(dirs, dir)
				return os.CopyFS(dir, os.DirFS(r.dir))
			}))
			if !slices.Equal(steps, []string{"former", "commit"}) {
				t.Fatalf("steps %q", steps)
			}
			// And after the commit, before the recovery log is written again.
			must(t, os.WriteFile(filepath.Join(r.dir, "recovery.log"), log, 0o600))
			steps, dirs = append(steps, "committed"), append(dirs, r.dir)
			for i, dir := range dirs {
				c := &rig{t: t, clock: r.clock, dir: dir}
				c.open()
				equal(t, "killed at "+steps[i], rows(t, c.index(), former), want)
				c.wantFormer(version, int(number(t, former, `SELECT count(*) FROM message`)))
				c.usable(t)
				must(t, c.Close())
			}
		})
	}
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	return errors.Join(err, os.WriteFile(to, data, 0o600))
}

// TestNoRoomForAMigration: the former index stays, and no copies of it gather.
func TestNoRoomForAMigration(t *testing.T) {
	for _, at := range []string{"former", "commit"} {
		t.Run(at, func(t *testing.T) {
			r := oldStore(t, 4)
			former := filepath.Join(t.TempDir(), "index.db")
			must(t, copyFile(r.index(), former))
			for range 3 {
				wantKind(t, r.openAt(func(step string) error {
					if step == at {
						return syscall.ENOSPC
					}
					return nil
				}), fault.Full)
				if v := number(t, r.index(), `PRAGMA user_version`); v != 4 {
					t.Fatalf("schema %d", v)
				}
				equal(t, "the index", rows(t, r.index(), former), rows(t, former, former))
				r.clock.t = r.clock.t.Add(1e9)
			}
			if halves, err := atomicfile.Match(r.dir, indexPattern); err != nil || len(halves) > 1 { // of the last attempt
				t.Errorf("left behind: %q %v", halves, err)
			}
			r.open()
			r.usable(t)
			must(t, r.Close())
		})
	}
}
