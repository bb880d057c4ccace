package mailstore

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

// index brings the text index up to date, as the goroutine does it in time.
func (r *rig) index() {
	r.t.Helper()
	r.text.stale.Store(true)
	r.goOn(r.indexing())
}

// indexing is the work of the goroutine, which is not started.
func (r *rig) indexing() *indexing {
	r.text.dir, r.text.store = r.textDir(), indexedStore{r.Store}
	return &indexing{index: &r.text}
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

// stored is a content with its bytes.
type stored struct {
	Content
	raw []byte
}

func (r *rig) stored() []stored {
	r.t.Helper()
	var out []stored
	for _, box := range []string{inbox, recovered} {
		m, err := r.Mailbox(r.t.Context(), box)
		if err != nil {
			continue
		}
		v, err := r.OpenView(r.t.Context(), m.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		contents, err := r.Contents(r.t.Context(), v.Snapshot().Contents, WantFile|WantStructure)
		v.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, c := range contents {
			out = append(out, stored{c, r.read(c.Hash)})
		}
	}
	return out
}

// check compares a search with and without the index. It returns how many
// messages match, and how many had to be read.
func (r *rig) checkSearch(all []stored, needle string) (matched, read int) {
	r.t.Helper()
	m := mailtext.NewMatcher(needle)
	text, body := r.Narrow(needle, false), r.Narrow(needle, true)
	for _, c := range all {
		inText, err := m.MatchText(c.Summary, bytes.NewReader(c.raw))
		if err != nil {
			r.t.Fatal(err)
		}
		inBody, err := m.MatchBody(c.Summary, bytes.NewReader(c.raw))
		if err != nil {
			r.t.Fatal(err)
		}
		told := func(by func(ContentID) Match) Match {
			if by == nil {
				return MayMatch
			}
			return by(c.ID)
		}
		wrong := func(told Match, in bool) bool { return told == NoMatch && in || told == Matches && !in }
		if wrong(told(text), inText) || wrong(told(body), inBody) {
			r.t.Errorf("%q in content %d: text %v, body %v, and the index says %v, %v", needle, c.ID, inText, inBody, told(text), told(body))
		}
		if inText {
			matched++
		}
		if told(text) == MayMatch {
			read++
		}
	}
	return matched, read
}

func (r *rig) fillWith(messages ...[]byte) {
	r.t.Helper()
	for batch := range slices.Chunk(messages, 100) {
		var d []Delivery
		for _, raw := range batch {
			d = append(d, Delivery{Mailbox: r.id(inbox), Message: r.spool(string(raw)), ReceivedAt: start})
		}
		r.deliver(d...)
	}
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
			r := newStore(t)
			r.fillWith(messages(t)...)
			all := r.stored()
			if _, read := r.checkSearch(all[:1], "quuxbaz"); read != 1 {
				t.Errorf("without an index: %d read", read)
			}
			r.index()
			matched, read := 0, 0
			for _, needle := range needles(all, tries) {
				m, n := r.checkSearch(all, needle)
				matched, read = matched+m, read+n
			}
			if matched == 0 || read > matched+tries*len(all)/4 {
				t.Errorf("%d match, %d of %d read", matched, read, tries*len(all))
			}
			if m, n := r.checkSearch(all, "quuxbaz"); m != 0 || n > len(all)/20 {
				t.Errorf("a word that is nowhere: %d of %d messages to read", n, len(all))
			}
		})
	}
}

// TestManySegments: what comes bit by bit ends in few segments, and each bit is
// found.
func TestManySegments(t *testing.T) {
	r := newStore(t)
	r.text.stale.Store(true)
	x := r.indexing()
	for n := range 3 * mergeAt {
		r.append(inbox, n)
		r.goOn(x)
	}
	if n := len(r.text.segments); n > 2*mergeAt {
		t.Errorf("%d segments", n)
	}
	all := r.stored()
	for n := range 3 * mergeAt {
		if m, read := r.checkSearch(all, fmt.Sprintf("body %d\r", n)); m != 1 || read != 1 {
			t.Errorf("body %d: %d match, %d read", n, m, read)
		}
	}
	r.reopen()
	r.index()
	if m, read := r.checkSearch(all, "number 7"); m != 1 || read != 1 {
		t.Errorf("opened again: %d match, %d read", m, read)
	}
}

// segmentFiles are the names of the files of the text index.
func (r *rig) segmentFiles() []string {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.textDir(), "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return paths
}

// TestPurgedTextIsGone: the index keeps nothing of a message that was purged.
func TestPurgedTextIsGone(t *testing.T) {
	r := newStore(t)
	r.fillWith([]byte("Subject: a\r\n\r\nkeepsake\r\n"), []byte("Subject: b\r\n\r\nsecretword\r\n"))
	r.index()
	has := func(word string) (found bool) {
		for _, path := range r.segmentFiles() {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found = found || bytes.Contains(data, []byte(word))
		}
		return found
	}
	if !has("keepsake") || !has("secretword") {
		t.Fatal("words are not in the index")
	}
	if _, err := r.SetFlags(t.Context(), r.id(inbox), []UID{2}, Add, []string{`\Deleted`}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Expunge(t.Context(), r.id(inbox), nil); err != nil {
		t.Fatal(err)
	}
	r.clock.t = r.clock.t.Add(2 * keepExpunged)
	if err := r.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.text.stale.Load() {
		t.Error("nobody was told")
	}
	r.index()
	if has("secretword") || !has("keepsake") {
		t.Error("the purged word is in the index, or the other is not")
	}
	if m, read := r.checkSearch(r.stored(), "keepsake"); m != 1 || read != 0 {
		t.Errorf("%d match, %d read", m, read)
	}
}

// TestDamagedTextIndex: damage of any byte costs no result, and is mended.
func TestDamagedTextIndex(t *testing.T) {
	r := newStore(t)
	r.fillWith(synthetic(20)...)
	all := r.stored()
	r.index()
	path := r.segmentFiles()[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		data := slices.Clone(whole)
		if round%3 == 0 {
			data = data[:rnd.IntN(len(data))]
		} else {
			data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, _ := r.checkSearch(all, "example"); m != len(all) {
			t.Errorf("%d of %d match", m, len(all))
		}
		if round%10 == 0 {
			r.index() // from the damaged file
			if _, read := r.checkSearch(all, "nowherefound"); read > 2 {
				t.Errorf("not mended: %d to read", read)
			}
			if path = r.segmentFiles()[0]; len(r.segmentFiles()) != 1 {
				t.Errorf("files left: %v", r.segmentFiles())
			}
		}
	}
	if err := os.WriteFile(filepath.Join(r.textDir(), "new-1"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.index()
	if len(r.segmentFiles()) != 1 {
		t.Errorf("files left: %v", r.segmentFiles())
	}
}

// TestTextIndexAfterRebuild: a new index numbers contents anew; the text index is
// right all the same, and complete without reading a message.
func TestTextIndexAfterRebuild(t *testing.T) {
	r := newStore(t)
	r.fillWith(synthetic(30)...)
	r.index()
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
	x := r.indexing()
	if err := x.load(t.Context()); err != nil || len(x.todo) > 0 {
		t.Fatalf("%d messages to read, %v", len(x.todo), err)
	}
	all := r.stored()
	if len(all) != 30 {
		t.Fatalf("%d messages", len(all))
	}
	for _, needle := range needles(all, 50) {
		r.checkSearch(all, needle)
	}
	if _, read := r.checkSearch(all, "nowherefound"); read > 2 {
		t.Errorf("%d to read", read)
	}
}

// TestTooManyTerms: a message with more different words than there is room for
// is one that may always match.
func TestTooManyTerms(t *testing.T) {
	r := newStore(t)
	var b strings.Builder
	b.WriteString("Subject: log\r\n\r\n")
	for n := range maxTerms / 5 {
		fmt.Fprintf(&b, "w%x\r\n", n*7919)
	}
	r.fillWith([]byte(b.String()), []byte("Subject: x\r\n\r\n"+strings.Repeat("a", 1<<20)+"needle\r\n"))
	r.index()
	all := r.stored()
	if m, read := r.checkSearch(all, "wffffffff"); m != 0 || read != 1 {
		t.Errorf("%d match, %d read", m, read)
	}
	if m, _ := r.checkSearch(all, "aaneedle"); m != 1 {
		t.Errorf("%d match", m)
	}
}

// broken is a file whose reading panics, as a bug in a parser would.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { panic("bug") }

// TestPanicWhileIndexing: a message that the parsers fall over may match, the
// others are indexed.
func TestPanicWhileIndexing(t *testing.T) {
	r := newStore(t)
	r.fillWith(synthetic(3)...)
	all := r.stored()
	x := r.indexing()
	x.build = &builder{terms: map[string]*building{}}
	x.take(int64(all[0].ID), all[0].Hash, all[0].Summary, bytes.NewReader(all[0].raw))
	x.take(int64(all[1].ID), all[1].Hash, all[1].Summary, broken{})
	x.take(int64(all[2].ID), all[2].Hash, all[2].Summary, bytes.NewReader(all[2].raw))
	if err := os.Mkdir(r.textDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	g, err := x.build.write(r.textDir())
	if err != nil {
		t.Fatal(err)
	}
	_ = g.file.Close()
	r.index()
	if _, read := r.checkSearch(all, "nowherefound"); read != 1 {
		t.Errorf("%d to read, want the one", read)
	}
}

// TestKeptIndexed: the goroutine takes in what is there at Open, and what comes
// later a moment after it came.
func TestKeptIndexed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ann")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), dir, Options{IndexText: true})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{Store: s, t: t, dir: dir}
		defer r.Close()
		for n := 1; n <= 3; n++ {
			r.append(inbox, n)
			<-time.After(10 * indexPause)
			synctest.Wait()
			if m, read := r.checkSearch(r.stored(), "nowherefound"); m != 0 || read != 0 {
				t.Errorf("%d messages: %d to read", n, read)
			}
		}
		s.text.forget()
		<-time.After(time.Second)
		synctest.Wait()
		if _, read := r.checkSearch(r.stored(), "nowherefound"); read != 0 {
			t.Errorf("forgotten: %d to read", read)
		}
	})
}

func FuzzSegment(f *testing.F) {
	g := &builder{terms: map[string]*building{}}
	raw := testkit.Message(1)
	g.add(1, Hash{1}, message.Parse(bytes.NewReader(raw), int64(len(raw))), bytes.NewReader(raw))
	dir := f.TempDir()
	made, err := g.write(dir)
	if err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(made.file.Name())
	if err != nil {
		f.Fatal(err)
	}
	_ = made.file.Close()
	f.Add(data, "subject")
	f.Add([]byte("popbridge text index 1.1: 0\n"), "x")
	f.Fuzz(func(t *testing.T, data []byte, needle string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.terms")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		g := &segment{}
		if g.file, err = os.Open(path); err != nil {
			t.Fatal(err)
		}
		defer g.file.Close()
		if g.readHead() != nil {
			return
		}
		// Whatever the checksum says, it is read to its end.
		pieces, exact := mailtext.Pieces(needle)
		_, _ = g.find(pieces, exact, false)
		for i := range g.docs {
			g.docs[i].id = 1
		}
		if m, err := merge(t.Context(), dir, []*segment{g, g}); err == nil && m != nil {
			if err := m.each(func([]byte) {}); err != nil {
				t.Error(err)
			}
			_ = m.file.Close()
		}
	})
}

// TestTextOfADamagedFileIsNotIndexed: what a file holds while it is damaged is not
// taken for the text of the message, also after the file is put back.
func TestTextOfADamagedFileIsNotIndexed(t *testing.T) {
	r := newStore(t)
	r.fillWith([]byte("Subject: one\r\n\r\ngenuine\r\n"))
	all := r.stored()
	path := r.path(all[0].Hash)
	whole, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, bytes.Replace(whole, []byte("genuine"), []byte("rubbish"), 1), 0o600))
	r.index()
	must(t, os.WriteFile(path, whole, 0o600))
	for _, needle := range []string{"genuine", "rubbish"} {
		r.checkSearch(all, needle)
	}
}
