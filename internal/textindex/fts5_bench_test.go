//go:build unix

package textindex

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
)

// ftsNeedle is a needle; hits says which messages have it, by their id.
type ftsNeedle struct {
	name, text string
	folded     []byte
	hits       []bool
}

func ftsNeedles(n int) []*ftsNeedle {
	needles := []*ftsNeedle{
		{name: "rare word", text: "xylophonequartet"},
		{name: "inside a rare word", text: "lophonequa"},
		{name: "word in all", text: "example"},
		{name: "word nowhere", text: "qqxyzzyqq"},
		{name: "rare phrase", text: "xylophonequartet plays"},
		{name: "common phrase", text: "cer don es"},
		{name: "two letters in many", text: "es"},
		{name: "two letters in few", text: "qx"},
		{name: "sign and digit", text: "§7"},
		{name: "two Chinese", text: "合同"},
	}
	for _, x := range needles {
		x.folded, x.hits = []byte(foldText(x.text)), make([]bool, n+1)
	}
	return needles
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ftsRig has the same messages in our index and in both tables.
type ftsRig struct {
	index   Index
	mail    ftsMail
	tables  []*fts
	needles []*ftsNeedle
	spent   [3]time.Duration // of the processor, for index and tables
	text    int64            // bytes
}

func (r *ftsRig) timed(k int, do func()) {
	start := cpu()
	do()
	r.spent[k] += cpu() - start
}

func (r *ftsRig) fill(b *testing.B, n, size int) {
	r.mail.hashes = make([]Hash, 1, n+1)
	r.index.stale.Store(true)
	work := &indexing{index: &r.index}
	for first := 1; first <= n; {
		r.mail.batch = r.mail.batch[:0]
		var texts []string
		for id := first; id <= n && id < first+maxDocs; id++ {
			raw, text := proseMail(id, n, size)
			c := stored{int64(id), sha256.Sum256(raw), message.Parse(bytes.NewReader(raw), int64(len(raw))), raw}
			r.mail.batch, r.mail.hashes = append(r.mail.batch, c), append(r.mail.hashes, c.hash)
			r.note(b, &c, text)
			texts = append(texts, text)
			r.text += int64(len(text))
		}
		r.timed(0, func() { goOn(b, work) })
		for k, f := range r.tables {
			r.timed(1+k, func() {
				for i := 0; i < len(texts); i += ftsBatch {
					f.add(b, first+i, texts[i:min(i+ftsBatch, len(texts))])
				}
			})
		}
		first += len(texts)
	}
}

func goOn(b *testing.B, work *indexing) {
	for more := true; more; {
		var err error
		if more, err = work.step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// note notes which needles a message has. Of some it is asked what mailtext says.
func (r *ftsRig) note(b *testing.B, c *stored, text string) {
	for _, x := range r.needles {
		x.hits[c.id] = bytes.Contains([]byte(text), x.folded)
		if c.id%101 != 42 && c.id%1000 != 42 {
			continue
		}
		if in, err := mailtext.NewMatcher(x.text).MatchText(c.sum, bytes.NewReader(c.raw)); err != nil || in != x.hits[c.id] {
			b.Fatalf("%q in message %d: %v, want %v (%v)", x.text, c.id, x.hits[c.id], in, err)
		}
	}
}

// BenchmarkFTS5 measures the index beside SQLite's FTS5 with its trigram tokenizer,
// contentless, in a database of its own (docs/decisions/0008):
//
//	POPBRIDGE_FTS5=300000 go test ./internal/textindex -run '^$' -bench FTS5 -benchtime 3x -timeout 3h -v
//
// POPBRIDGE_FTS5 is the number of messages, 500 if not set; POPBRIDGE_FTS5_TEXT
// the mean size of a body in bytes, 3500; POPBRIDGE_FTS5_DETAIL which tables there
// are, "none full". What a search says is compared with the text of every message.
func BenchmarkFTS5(b *testing.B) {
	n, size := setting("POPBRIDGE_FTS5", 500), setting("POPBRIDGE_FTS5_TEXT", 3500)
	dir := b.TempDir()
	r := &ftsRig{needles: ftsNeedles(n)}
	for detail := range strings.FieldsSeq(cmp.Or(os.Getenv("POPBRIDGE_FTS5_DETAIL"), "none full")) {
		r.tables = append(r.tables, newFTS(b, dir, detail))
	}
	r.index.dir, r.index.store = filepath.Join(dir, "search"), &r.mail
	b.Cleanup(r.index.Stop)
	r.fill(b, n, size)
	r.report(b, n)
	for _, x := range r.needles {
		b.Run("search/"+x.name, func(b *testing.B) {
			b.Run("ours", func(b *testing.B) { r.searchOurs(b, x) })
			for _, f := range r.tables {
				b.Run(f.detail, func(b *testing.B) { searchFTS(b, f, x) })
			}
		})
	}
	b.Run("read a message", r.readMessages)
	r.remove(b, int64(n/2))
}

func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// report logs sizes and what building took.
func (r *ftsRig) report(b *testing.B, n int) {
	var ours int64
	for _, g := range r.index.segments {
		ours += g.size
	}
	sizes, names := []int64{ours}, []string{"ours"}
	for _, f := range r.tables {
		f.do(b, `PRAGMA wal_checkpoint(truncate)`)
		info, err := os.Stat(f.path)
		if err != nil {
			b.Fatal(err)
		}
		sizes, names = append(sizes, info.Size()), append(names, f.detail)
	}
	b.Logf("%d messages, %.1f MB of text, %d segments", n, float64(r.text)/1e6, len(r.index.segments))
	for k, size := range sizes {
		b.Logf("%s: %.1f MB, %.0f %% of the text; built in %.3f ms of the processor a message",
			names[k], float64(size)/1e6, 100*float64(size)/float64(r.text), r.spent[k].Seconds()*1e3/float64(n))
	}
}

func (r *ftsRig) searchOurs(b *testing.B, x *ftsNeedle) {
	var known Known
	start := cpu()
	for b.Loop() {
		known = r.index.Narrow(x.text, false)
	}
	spent, read := cpu()-start, 0
	for id, hit := range x.hits[1:] {
		switch m := known.Of(int64(id + 1)); {
		case m == MayMatch:
			read++
		case hit != (m == Matches):
			b.Fatalf("message %d: %v, want %v", id+1, m, hit)
		}
	}
	reportSearch(b, spent, read)
}

func searchFTS(b *testing.B, f *fts, x *ftsNeedle) {
	var ids []int64
	start := cpu()
	for b.Loop() {
		ids = f.find(b, string(x.folded))
	}
	spent, read := cpu()-start, 0
	may := make([]bool, len(x.hits))
	for _, id := range ids {
		may[id] = true
	}
	if !f.exact(string(x.folded)) {
		read = len(ids)
	}
	for id, hit := range x.hits {
		if hit != may[id] && (hit || read == 0) {
			b.Fatalf("message %d: %v, want %v", id, may[id], hit)
		}
	}
	reportSearch(b, spent, read)
}

func reportSearch(b *testing.B, spent time.Duration, read int) {
	b.ReportMetric(spent.Seconds()*1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(read), "to-read")
}

// readMessages reads a message from its file and looks for a word.
func (r *ftsRig) readMessages(b *testing.B) {
	dir, m := b.TempDir(), mailtext.NewMatcher("qqxyzzyqq")
	name := func(id int64) string { return filepath.Join(dir, strconv.Itoa(int(id))) }
	for _, c := range r.mail.batch {
		if err := os.WriteFile(name(c.id), c.raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for _, c := range r.mail.batch {
			file, err := os.Open(name(c.id))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := m.MatchText(c.sum, file); err != nil {
				b.Fatal(err)
			}
			_ = file.Close() // only read
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N*len(r.mail.batch)), "µs/message")
}

// remove takes a message out of all three. FTS5 marks it as removed; its text is
// out of the file when all has been merged.
func (r *ftsRig) remove(b *testing.B, id int64) {
	took := func(name string, do func()) {
		start, spent := time.Now(), cpu()
		do()
		b.Logf("%s: %.1f ms, %.1f ms of the processor", name, time.Since(start).Seconds()*1e3, (cpu()-spent).Seconds()*1e3)
	}
	r.mail.gone = id
	took("ours, a message and its text removed", func() {
		r.index.Renew()
		goOn(b, &indexing{index: &r.index})
	})
	for _, f := range r.tables {
		took(f.detail+", a message removed", func() { f.do(b, `DELETE FROM mail WHERE rowid = ?`, id) })
		took(f.detail+", its text too", func() { f.do(b, `INSERT INTO mail(mail) VALUES ('optimize')`) })
		if ids := f.find(b, "xylophonequartet"); len(ids) > 0 {
			b.Errorf("%s: %d found", f.detail, len(ids))
		}
	}
}
