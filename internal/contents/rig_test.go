package contents_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/contents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files are message files under test; known are those that an index would have.
type files struct {
	*contents.Files
	t     *testing.T
	known map[contents.Hash]bool
}

func newFiles(t *testing.T) *files {
	t.Helper()
	f := openFiles(t, filepath.Join(t.TempDir(), "mail [old]", "ann"))
	must(t, f.Make("tmp"))
	return f
}

// openFiles is what a program that starts sees.
func openFiles(t *testing.T, dir string) *files {
	f := &files{&contents.Files{Dir: dir}, t, map[contents.Hash]bool{}}
	f.Known = func(h contents.Hash) (bool, error) { return f.known[h], nil }
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func hashOf(text string) contents.Hash { return sha256.Sum256([]byte(text)) }

func (f *files) spool(texts ...string) (out []*contents.Spooled) {
	f.t.Helper()
	for _, text := range texts {
		sp, err := f.Spool(strings.NewReader(text))
		must(f.t, err)
		out = append(out, sp)
	}
	return out
}

// store places messages and makes them known.
func (f *files) store(texts ...string) {
	f.t.Helper()
	b := f.NewBatch(f.spool(texts...))
	must(f.t, b.Place(f.t.Context()))
	for _, text := range texts {
		f.known[hashOf(text)] = true
	}
	b.End(true, false)
}

// has reports whether the file of a message is there and sound.
func (f *files) has(text string) bool {
	h, err := contents.HashFile(f.t.Context(), f.Path(hashOf(text)))
	return err == nil && h == hashOf(text)
}

// left returns how many files are in tmp.
func (f *files) left() int {
	f.t.Helper()
	left, err := os.ReadDir(filepath.Join(f.Dir, "tmp"))
	must(f.t, err)
	return len(left)
}

// want fails the test unless exactly these messages are there, and nothing in tmp.
func (f *files) want(texts ...string) {
	f.t.Helper()
	n := 0
	for i := range 256 {
		found, err := f.List(byte(i))
		must(f.t, err)
		n += len(found)
	}
	for _, text := range texts {
		if !f.has(text) {
			f.t.Errorf("%q is not there", text)
		}
	}
	if n != len(texts) || f.left() > 0 {
		f.t.Errorf("%d files, want %d; left in tmp: %d", n, len(texts), f.left())
	}
}

// recorder notes what a disk is asked: which file or folder was made durable, and
// which got a name.
type recorder struct {
	contents.Disk
	mu  sync.Mutex
	did []string
}

func (r *recorder) note(what, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, what+" "+filepath.Base(path))
}

func (r *recorder) CreateTemp(dir, pattern string) (contents.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	return recorded{f, r}, err
}

func (r *recorder) Rename(from, to string) error {
	r.note("rename", from)
	r.note("name", to)
	return os.Rename(from, to)
}

func (r *recorder) Link(from, to string) error {
	r.note("link", from)
	return os.Link(from, to)
}

func (r *recorder) Remove(path string) error {
	r.note("remove", path)
	return os.Remove(path)
}

func (r *recorder) Sync(path string) error {
	r.note("sync", path)
	return nil
}

func (r *recorder) SyncDir(path string) error {
	r.note("syncdir", path)
	return nil
}

type recorded struct {
	*os.File
	r *recorder
}

func (f recorded) Sync() error {
	f.r.note("sync", f.Name())
	return f.File.Sync()
}
