package mailstore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/textindex"
)

// withTextIndex runs a test of a store that keeps its text index up, with a clock
// that does not wait.
func withTextIndex(t *testing.T, test func(t *testing.T, r *rig)) {
	dir := filepath.Join(t.TempDir(), "ann")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, clock: &clock{start}, dir: dir, indexText: true}
		r.open()
		defer func() { _ = r.Close() }()
		test(t, r)
	})
}

// indexed waits until the text index has had the time to take everything in.
func (r *rig) indexed() {
	<-time.After(10 * time.Second)
	synctest.Wait()
}

// word is in the n-th message that deliverWords delivers, and in no other.
func word(n int) string { return fmt.Sprintf("keepsake%dz", n) }

func (r *rig) deliverWords(from, to int) {
	r.t.Helper()
	var d []Delivery
	for n := from; n < to; n++ {
		raw := fmt.Sprintf("Subject: x\r\n\r\n%s\r\n", word(n))
		d = append(d, Delivery{Mailbox: r.id(inbox), Message: r.spool(raw), ReceivedAt: start.Add(-time.Duration(n) * time.Hour)})
	}
	r.deliver(d...)
}

// checkWords checks that the text index knows all messages there are, and that they
// have these words and no other.
func (r *rig) checkWords(words ...int) {
	r.t.Helper()
	var ids []ContentID
	for _, name := range []string{inbox, recovered} {
		box, err := r.Mailbox(r.t.Context(), name)
		if err != nil {
			continue
		}
		v, err := r.OpenView(r.t.Context(), box.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		ids = append(ids, v.Snapshot().Contents...)
		v.Close()
	}
	contents, err := r.Contents(r.t.Context(), ids, WantFile)
	if err != nil || len(contents) != len(words) {
		r.t.Fatalf("%d messages, want %d; %v", len(contents), len(words), err)
	}
	for _, n := range words {
		text, body := r.Narrow(word(n), false), r.Narrow(word(n), true)
		for _, c := range contents {
			want := textindex.NoMatch
			if bytes.Contains(r.read(c.Hash), []byte(word(n))) {
				want = textindex.Matches
			}
			if text.Of(int64(c.ID)) != want || body.Of(int64(c.ID)) != want {
				r.t.Errorf("%s in content %d: text %v, body %v, want %v", word(n), c.ID, text.Of(int64(c.ID)), body.Of(int64(c.ID)), want)
			}
		}
	}
}

// segmentFiles are the files of the text index.
func (r *rig) segmentFiles() map[string][]byte {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.textDir(), "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			r.t.Fatal(err)
		}
	}
	return files
}

// TestPurgedTextIsGone: the index keeps nothing of a message that was purged.
func TestPurgedTextIsGone(t *testing.T) {
	withTextIndex(t, func(t *testing.T, r *rig) {
		r.deliverWords(0, 2)
		r.indexed()
		has := func(n int) (found bool) {
			for _, data := range r.segmentFiles() {
				found = found || bytes.Contains(data, spelled(word(n)))
			}
			return found
		}
		if !has(0) || !has(1) {
			t.Fatal("words are not in the index")
		}
		if _, err := r.SetFlags(t.Context(), r.id(inbox), []UID{2}, mailflags.Add, []string{`\Deleted`}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Expunge(t.Context(), r.id(inbox), nil); err != nil {
			t.Fatal(err)
		}
		r.clock.t = r.clock.t.Add(2 * keepExpunged)
		if err := r.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.indexed()
		if has(1) || !has(0) {
			t.Error("the purged word is in the index, or the other is not")
		}
		r.checkWords(0)
	})
}

// spelled is a word as it stands in the index, where digits have other bytes
// (mailtext.TermByte).
func spelled(word string) []byte {
	b := []byte(word)
	for i, c := range b {
		if c <= '9' {
			b[i] = 0xF5 + c - '0'
		}
	}
	return b
}

// TestTextIndexAfterRebuild: a new index numbers contents again; the text index is
// right all the same, and complete without reading a message.
func TestTextIndexAfterRebuild(t *testing.T) {
	withTextIndex(t, func(t *testing.T, r *rig) {
		r.deliverWords(0, 30)
		r.indexed()
		files := r.segmentFiles()
		first := r.Narrow(word(0), false)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		// Without the log the order is that of the dates, and so are the ids.
		for _, name := range []string{"index.db", "recovery.log"} {
			if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Rebuild(t.Context(), r.dir, Options{Now: r.clock.now}); err != nil {
			t.Fatal(err)
		}
		r.open()
		r.indexed()
		var words []int
		for n := range 30 {
			words = append(words, n)
		}
		if slices.Equal(first, r.Narrow(word(0), false)) {
			t.Error("contents have the ids they had")
		}
		r.checkWords(words...)
		for path, data := range r.segmentFiles() {
			if !bytes.Equal(data, files[path]) {
				t.Errorf("%s is new", path)
			}
		}
	})
}

// TestKeptIndexed: the goroutine takes in what is there at Open, and what comes
// later a moment after it came.
func TestKeptIndexed(t *testing.T) {
	withTextIndex(t, func(t *testing.T, r *rig) {
		var words []int
		for n := range 3 {
			words = append(words, n)
			r.deliverWords(n, n+1)
			r.indexed()
			r.checkWords(words...)
		}
		r.text.Forget()
		r.indexed()
		r.checkWords(words...)
		r.reopen()
		r.indexed()
		r.checkWords(words...)
	})
}
