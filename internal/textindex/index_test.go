package textindex

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Quick()
	goleak.VerifyTestMain(m)
}

// stored is a content with its bytes.
type stored struct {
	id   int64
	hash Hash
	sum  *message.Summary
	raw  []byte
}

// memory is a store without files.
type memory struct {
	contents []stored // by their ids
	last     int64
}

func (m *memory) add(messages ...[]byte) {
	for _, raw := range messages {
		hash := sha256.Sum256(raw)
		if len(raw) == 0 || slices.ContainsFunc(m.contents, func(c stored) bool { return c.hash == hash }) {
			continue // no store has it
		}
		m.last++
		m.contents = append(m.contents, stored{m.last, hash, message.Parse(bytes.NewReader(raw), int64(len(raw))), raw})
	}
}

func (m *memory) After(_ context.Context, id int64, use func(int64, Hash)) error {
	for _, c := range m.contents {
		if c.id > id {
			use(c.id, c.hash)
		}
	}
	return nil
}

func (m *memory) Read(_ context.Context, ids []int64, use func(int64, Hash, *message.Summary, io.ReaderAt)) error {
	for _, c := range m.contents {
		if slices.Contains(ids, c.id) {
			use(c.id, c.hash, c.sum, bytes.NewReader(c.raw))
		}
	}
	return nil
}

func (m *memory) Watch() (<-chan struct{}, func()) { return nil, func() {} }

// rig is an index whose goroutine is not started, and its store.
type rig struct {
	Index
	*memory
	t testing.TB
}

func newRig(t *testing.T, messages ...[]byte) *rig {
	t.Parallel()
	r := &rig{t: t, memory: &memory{}}
	r.add(messages...)
	r.dir, r.store = filepath.Join(t.TempDir(), "search"), r.memory
	t.Cleanup(r.Stop)
	return r
}

// update brings the index up to date, as the goroutine does it in time.
func (r *rig) update() {
	r.t.Helper()
	r.stale.Store(true)
	r.goOn(&indexing{index: &r.Index})
}

func (r *rig) goOn(x *indexing) {
	r.t.Helper()
	for more := true; more; {
		var err error
		if more, err = x.step(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// check compares a search with and without the index. It returns how many
// messages match, and how many had to be read.
func (r *rig) check(needle string) (matched, read int) {
	r.t.Helper()
	m := mailtext.NewMatcher(needle)
	text, body := r.Narrow(needle, false), r.Narrow(needle, true)
	for _, c := range r.contents {
		inText, err := m.MatchText(c.sum, bytes.NewReader(c.raw))
		if err != nil {
			r.t.Fatal(err)
		}
		inBody, err := m.MatchBody(c.sum, bytes.NewReader(c.raw))
		if err != nil {
			r.t.Fatal(err)
		}
		wrong := func(match Match, in bool) bool { return match == NoMatch && in || match == Matches && !in }
		if wrong(text.Of(c.id), inText) || wrong(body.Of(c.id), inBody) {
			r.t.Errorf("%q in content %d: text %v, body %v, and the index says %v, %v", needle, c.id, inText, inBody, text.Of(c.id), body.Of(c.id))
		}
		if inText {
			matched++
		}
		if text.Of(c.id) == MayMatch {
			read++
		}
	}
	return matched, read
}

func synthetic(n int) (messages [][]byte) {
	for k := range n {
		messages = append(messages, testkit.Message(k))
	}
	return messages
}

// needles are cut from the messages at random; some are changed so that they are
// in none.
func needles(all []stored, n int) (out []string) {
	rnd := rand.New(rand.NewPCG(4, 2))
	for range n {
		raw := all[rnd.IntN(len(all))].raw
		at := rnd.IntN(len(raw))
		needle := string(raw[at:min(len(raw), at+1+rnd.IntN(25))])
		switch rnd.IntN(4) {
		case 0:
			needle = strings.ToUpper(needle)
		case 1:
			needle += string(raw[rnd.IntN(len(raw))])
		}
		out = append(out, needle)
	}
	return out
}

// TestSearchWithTheIndexIsTheSame: whatever the needle, no message that matches
// is ruled out, and of those that do not most are.
func TestSearchWithTheIndexIsTheSame(t *testing.T) {
	const tries = 40
	for name, messages := range map[string]func(testing.TB) [][]byte{
		"synthetic": func(testing.TB) [][]byte { return synthetic(100) },
		"corpus": func(t testing.TB) (messages [][]byte) {
			corpus := testkit.Corpus(t)
			for _, name := range slices.Sorted(maps.Keys(corpus)) {
				if raw := corpus[name]; len(raw) < 1<<17 {
					messages = append(messages, raw)
				}
			}
			return messages
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, messages(t)...)
			all := r.contents
			if _, read := r.check("quuxbaz"); read != len(all) {
				t.Errorf("without an index: %d read", read)
			}
			r.update()
			matched, read := 0, 0
			for _, needle := range needles(all, tries) {
				m, n := r.check(needle)
				matched, read = matched+m, read+n
			}
			if matched == 0 || read > matched+tries*len(all)/4 {
				t.Errorf("%d match, %d of %d read", matched, read, tries*len(all))
			}
			if m, n := r.check("quuxbaz"); m != 0 || n > len(all)/20 {
				t.Errorf("a word that is nowhere: %d of %d messages to read", n, len(all))
			}
		})
	}
}

// TestManySegments: what comes bit by bit ends in few segments, and each bit is
// found.
func TestManySegments(t *testing.T) {
	r := newRig(t)
	r.stale.Store(true)
	x := &indexing{index: &r.Index}
	for n := range 3 * mergeAt {
		r.add(fmt.Appendf(nil, "From: a@example.com\r\nSubject: number %d\r\n\r\nbody %d\r\n", n, n))
		r.goOn(x)
	}
	if n := len(r.segments); n > 2*mergeAt {
		t.Errorf("%d segments", n)
	}
	for n := range 3 * mergeAt {
		if m, read := r.check(fmt.Sprintf("body %d\r", n)); m != 1 || read != 1 {
			t.Errorf("body %d: %d match, %d read", n, m, read)
		}
	}
	r.Stop()
	r.update()
	if m, read := r.check("number 7"); m != 1 || read != 1 {
		t.Errorf("opened again: %d match, %d read", m, read)
	}
}

// TestTextOfADamagedFileIsNotIndexed: what a file holds while it is damaged is not
// taken for the text of the message, also after the file is put back.
func TestTextOfADamagedFileIsNotIndexed(t *testing.T) {
	r := newRig(t, []byte("Subject: one\r\n\r\ngenuine\r\n"))
	c := &r.contents[0]
	whole := c.raw
	c.raw = bytes.Replace(whole, []byte("genuine"), []byte("rubbish"), 1)
	r.update()
	c.raw = whole
	for _, needle := range []string{"genuine", "rubbish"} {
		if _, read := r.check(needle); read != 1 {
			t.Errorf("%s: %d to read, want the one", needle, read)
		}
	}
}

// TestOtherIDs: a store that was made again numbers contents again; the index is
// right all the same, and complete without reading a message.
func TestOtherIDs(t *testing.T) {
	r := newRig(t, synthetic(30)...)
	r.update()
	for i := range r.contents {
		r.contents[i].id = int64(len(r.contents) - i)
	}
	slices.Reverse(r.contents)
	r.Forget()
	if _, read := r.check("nowherefound"); read != len(r.contents) {
		t.Errorf("with ids that may be wrong %d of %d are read", read, len(r.contents))
	}
	x := &indexing{index: &r.Index}
	if err := x.load(t.Context()); err != nil || len(x.todo) > 0 {
		t.Fatalf("%d messages to read, %v", len(x.todo), err)
	}
	for _, needle := range needles(r.contents, 50) {
		r.check(needle)
	}
	if _, read := r.check("nowherefound"); read > 2 {
		t.Errorf("%d to read", read)
	}
}

// broken is a file whose reading panics, as a bug in a parser would.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { panic("bug") }

// TestPanicWhileIndexing: a message that the parsers fall over may match, the
// others are indexed.
func TestPanicWhileIndexing(t *testing.T) {
	r := newRig(t, synthetic(3)...)
	all := r.contents
	x := &indexing{index: &r.Index}
	x.build = &builder{terms: map[string]*building{}}
	x.take(all[0].id, all[0].hash, all[0].sum, bytes.NewReader(all[0].raw))
	x.take(all[1].id, all[1].hash, all[1].sum, broken{})
	x.take(all[2].id, all[2].hash, all[2].sum, bytes.NewReader(all[2].raw))
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g, err := x.build.write(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = g.file.Close()
	r.update()
	if _, read := r.check("nowherefound"); read != 1 {
		t.Errorf("%d to read, want the one", read)
	}
}
