package textindex

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/mailtext"
	"github.com/popbridge/popbridge/internal/message"
	"github.com/popbridge/popbridge/internal/testkit"
)

// segmentFiles are the names of the files of the text index.
func (r *rig) segmentFiles() []string {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return paths
}

// TestDamagedTextIndex: damage of any byte costs no result, and is repaired.
func TestDamagedTextIndex(t *testing.T) {
	r := newRig(t, synthetic(20)...)
	all := r.contents
	r.update()
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
		if m, _ := r.check("example"); m != len(all) {
			t.Errorf("%d of %d match", m, len(all))
		}
		if round%10 == 0 {
			r.update() // from the damaged file
			if _, read := r.check("nowherefound"); read > 2 {
				t.Errorf("not repaired: %d to read", read)
			}
			if path = r.segmentFiles()[0]; len(r.segmentFiles()) != 1 {
				t.Errorf("files left: %v", r.segmentFiles())
			}
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "new-1"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.update()
	if len(r.segmentFiles()) != 1 {
		t.Errorf("files left: %v", r.segmentFiles())
	}
}

// TestTooManyTerms: a message with more different words than there is room for
// is one that may always match.
func TestTooManyTerms(t *testing.T) {
	var b strings.Builder
	b.WriteString("Subject: log\r\n\r\n")
	for n := range maxTerms / 5 {
		fmt.Fprintf(&b, "w%x\r\n", n*7919)
	}
	r := newRig(t, []byte(b.String()), []byte("Subject: x\r\n\r\n"+strings.Repeat("a", 1<<20)+"needle\r\n"))
	r.update()
	if m, read := r.check("wffffffff"); m != 0 || read != 1 {
		t.Errorf("%d match, %d read", m, read)
	}
	if m, _ := r.check("aaneedle"); m != 1 {
		t.Errorf("%d match", m)
	}
}

func FuzzSegment(f *testing.F) {
	g := &builder{docs: []indexed{{id: 1, hash: Hash{1}}}, terms: map[string]*building{}}
	raw := testkit.Message(1)
	g.add(message.Parse(bytes.NewReader(raw), int64(len(raw))), bytes.NewReader(raw))
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
