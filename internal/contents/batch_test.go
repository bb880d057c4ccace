package contents_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/internal/contents"
)

// files are message files under test; known are those that an index would have.
type files struct {
	*contents.Files
	t     *testing.T
	known map[contents.Hash]bool
}

func newFiles(t *testing.T) *files {
	t.Helper()
	f := &files{&contents.Files{Dir: filepath.Join(t.TempDir(), "ann")}, t, map[contents.Hash]bool{}}
	f.Known = func(h contents.Hash) (bool, error) { return f.known[h], nil }
	must(t, f.Make("tmp"))
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

// has reports whether the file of a message is there and sound.
func (f *files) has(text string) bool {
	h, err := contents.HashFile(f.t.Context(), f.Path(hashOf(text)))
	return err == nil && h == hashOf(text)
}

// clean fails the test when tmp is not empty.
func (f *files) clean() {
	f.t.Helper()
	left, err := os.ReadDir(filepath.Join(f.Dir, "tmp"))
	if err != nil || len(left) > 0 {
		f.t.Errorf("left in tmp: %v, %v", left, err)
	}
}

// Two batches with the same message fail together: neither leaves its file to
// the other.
func TestTwoBatchesThatFailTogetherLeaveNothing(t *testing.T) {
	f := newFiles(t)
	var both sync.WaitGroup
	both.Add(2)
	a, b := f.NewBatch(f.spool("one")), f.NewBatch(f.spool("one"))
	must(t, a.Place(t.Context()))
	must(t, b.Place(t.Context()))
	f.Step = func(step string) error {
		if step == "unlink" { // both have looked by now
			both.Done()
			both.Wait()
		}
		return nil
	}
	var ends sync.WaitGroup
	for _, x := range []*contents.Batch{a, b} {
		ends.Go(func() { x.End(false, false) })
	}
	ends.Wait()
	if f.has("one") {
		t.Error("the file was left")
	}
	f.clean()
}
