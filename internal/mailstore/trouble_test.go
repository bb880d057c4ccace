package mailstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/fault"
)

// bare is a store that is not checked at the end.
func bare(t testing.TB) *rig {
	parallel(t)
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(t.TempDir(), "ann")}
	r.open()
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (r *rig) refused(kind fault.Kind) {
	r.t.Helper()
	s, err := Open(r.t.Context(), r.dir, Options{})
	if err == nil {
		_ = s.Close()
	}
	wantKind(r.t, err, kind)
	if fault.Hint(err) == "" {
		r.t.Error("no hint")
	}
}

func TestANewerStoreIsRefusedUntouched(t *testing.T) {
	r := bare(t)
	r.fill("INBOX", 2)
	r.sql(setVersion(len(migrations) + 1))
	must(t, r.Close())
	before := filesIn(t, r.dir)
	r.refused(fault.Config)
	if diff := cmp.Diff(before, filesIn(t, r.dir)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// filesIn returns the files below a folder with their hashes.
func filesIn(t *testing.T, dir string) map[string]Hash {
	t.Helper()
	files := map[string]Hash{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = hashOf(string(data))
		return err
	}))
	return files
}

func TestAMissingIndexIsNotReplaced(t *testing.T) {
	r := bare(t)
	r.fill("INBOX", 2)
	must(t, r.Close())
	path := filepath.Join(r.dir, "index.db")
	must(t, os.Rename(path, path+".away"))
	r.refused(fault.Corrupt)
	must(t, os.WriteFile(path, nil, 0o600))
	r.refused(fault.Corrupt)
	must(t, os.WriteFile(path, []byte(strings.Repeat("this is no index", 1000)), 0o600))
	r.refused(fault.Corrupt)
	must(t, os.Rename(path+".away", path))
	r.open()
	r.want("INBOX", "1  number 1\n2  number 2")
	r.clean()
}

func TestAnyFolderName(t *testing.T) {
	parallel(t)
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(t.TempDir(), "100% so#lala&x=1 ü", "ann+bob@example.com")}
	r.open()
	r.fill("INBOX", 2)
	r.reopen()
	r.want("INBOX", "1  number 1\n2  number 2")
	if _, err := os.Stat(filepath.Join(r.dir, "index.db")); err != nil {
		t.Error(err)
	}
	r.clean()
	must(t, r.Close())
}

func TestAClosedStoreSaysSo(t *testing.T) {
	r := bare(t)
	id := r.id("INBOX")
	v := r.view("INBOX")
	sp := r.spool("x")
	must(t, r.Close())
	must(t, r.Close())
	_, err := r.Mailboxes(t.Context())
	wantKind(t, err, fault.Internal)
	_, err = r.OpenView(t.Context(), id)
	wantKind(t, err, fault.Internal)
	_, err = r.Deliver(t.Context(), []Delivery{{Mailbox: id, Message: sp}})
	wantKind(t, err, fault.Internal)
	if v.Snapshot() == nil {
		t.Error("the snapshot is gone")
	}
}

func TestAFullDiskAtEachStep(t *testing.T) {
	for _, step := range []string{"spool", "journal", "sync", "rename", "syncdir", "commit"} {
		t.Run(step, func(t *testing.T) {
			r := newStore(t)
			r.append("INBOX", 1)
			v := r.view("INBOX")
			var full atomic.Bool
			var calls atomic.Int32
			r.hook = func(s string) error {
				// The second file of the batch fails, where there is one.
				if full.Load() && s == step && (calls.Add(1) == 2 || step != "sync" && step != "rename") {
					return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
				}
				return nil
			}
			full.Store(true)
			var err error
			if step == "spool" {
				_, err = r.Spool(t.Context(), strings.NewReader(text(2)))
			} else {
				_, err = r.Deliver(t.Context(), []Delivery{r.from("home", "A", 1), r.from("home", "B", 2), r.from("home", "C", 3)})
			}
			wantKind(t, err, fault.Full)
			if fault.Hint(err) == "" {
				t.Error("no hint")
			}
			r.clean()
			if marked(v.Changed()) {
				t.Error("something was published")
			}
			full.Store(false)
			if out := r.deliver(r.from("home", "B", 2)); out[0].UID != 2 {
				t.Errorf("delivered %v", out)
			}
			r.want("INBOX", "1  number 1\n2  number 2")
		})
	}
}

func TestAFullIndex(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 1)
	v := r.view("INBOX")
	var pages int
	r.sql(`PRAGMA user_version`)
	must(t, r.reader.get(t.Context(), `PRAGMA page_count`, nil, &pages))
	limit := func(n int) {
		var got int
		must(t, r.writer.conn.QueryRowContext(t.Context(), "PRAGMA max_page_count = "+itoa(n)).Scan(&got))
	}
	limit(pages)
	batch := make([]Delivery, 200)
	for i := range batch {
		batch[i] = r.from("home", itoa(i), 100+i)
	}
	_, err := r.Deliver(t.Context(), batch)
	wantKind(t, err, fault.Full)
	r.clean()
	if marked(v.Changed()) || len(v.Snapshot().UIDs) != 1 {
		t.Error("something was published")
	}
	limit(1 << 30)
	for i := range batch {
		batch[i] = r.from("home", itoa(i), 100+i)
	}
	r.deliver(batch...)
	r.fresh(v)
}

func TestWhatIsInDoubtStays(t *testing.T) {
	r := newStore(t)
	broken := true
	r.hook = func(s string) error {
		if s == "commit" && broken {
			return &fs.PathError{Op: "sync", Path: "index.db-wal", Err: syscall.EIO}
		}
		return nil
	}
	_, err := r.Deliver(t.Context(), []Delivery{r.from("home", "A", 1)})
	wantKind(t, err, fault.Temporary)
	if _, err := os.Stat(r.path(hashOf(text(1)))); err != nil {
		t.Error("the file of a commit in doubt was removed")
	}
	// The next start knows that it was not committed.
	broken = false
	r.reopen()
	if has, err := r.files.Any(); has || err != nil {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestACallThatWasGivenUp(t *testing.T) {
	r := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	sp := r.spool(text(1))
	r.hook = func(s string) error {
		if s == "commit" {
			cancel() // too late
		}
		return nil
	}
	if _, err := r.Deliver(ctx, []Delivery{{Mailbox: r.id("INBOX"), Message: sp}}); err != nil {
		t.Errorf("a delivery that had begun to commit: %v", err)
	}
	r.hook = nil
	if _, err := r.Deliver(ctx, []Delivery{{Mailbox: r.id("INBOX"), Message: r.spool(text(2))}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := r.Spool(ctx, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	r.want("INBOX", "1  number 1")
}

func TestTroubleHasKindAndHint(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind fault.Kind
	}{
		{syscall.ENOSPC, fault.Full},
		{syscall.EDQUOT, fault.Full},
		{syscall.EROFS, fault.Temporary},
		{fs.ErrPermission, fault.Temporary},
		{syscall.EIO, fault.Temporary},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, fault.Temporary},
	} {
		err := failure(c.err, "test")
		wantKind(t, err, c.kind)
		if fault.Hint(err) == "" || !errors.Is(err, c.err) {
			t.Errorf("%v became %v", c.err, err)
		}
	}
	if err := failure(errMailboxExists, "test"); err != errMailboxExists {
		t.Errorf("a fault was wrapped: %v", err)
	}
}
