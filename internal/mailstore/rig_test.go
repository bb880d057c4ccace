package mailstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/testkit"
)

// keepExpunged is how long the stores of tests keep expunged messages.
const keepExpunged = 30 * 24 * time.Hour

func TestMain(m *testing.M) {
	testkit.Quick()
	goleak.VerifyTestMain(m)
}

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

var start = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

// rig is a store under test, checked when the test ends.
type rig struct {
	*Store
	t     testing.TB
	clock *clock
	dir   string
	keep  time.Duration // Options.KeepExpunged; 0: keepExpunged

	indexText bool // Options.IndexText
}

func newStore(t testing.TB) *rig {
	t.Helper()
	parallel(t)
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(t.TempDir(), "users", "ann")}
	r.open()
	t.Cleanup(func() {
		r.clean()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// parallel lets tests wait for the disk together.
func parallel(t testing.TB) {
	if t, ok := t.(*testing.T); ok {
		t.Parallel()
	}
}

func (r *rig) open() {
	r.t.Helper()
	s, err := Open(r.t.Context(), r.dir, Options{Now: r.clock.now, KeepExpunged: cmp.Or(r.keep, keepExpunged), IndexText: r.indexText})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Store = s
}

func (r *rig) reopen() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// clean fails the test when the check finds anything, or tmp is not empty.
func (r *rig) clean() {
	r.t.Helper()
	problems, err := r.Check(context.Background(), nil)
	if err != nil {
		r.t.Error(err)
	}
	for _, p := range problems {
		r.t.Errorf("check: %s: %s", p.Code, p.Text)
	}
	left, err := os.ReadDir(filepath.Join(r.dir, "tmp"))
	if err != nil || len(left) > 0 {
		r.t.Errorf("left in tmp: %v %v", left, err)
	}
}

func (r *rig) id(name string) MailboxID { return r.box(name).ID }

func (r *rig) box(name string) Mailbox {
	r.t.Helper()
	m, err := r.Mailbox(r.t.Context(), name)
	if err != nil {
		r.t.Fatalf("mailbox %s: %v", name, err)
	}
	return m
}

func (r *rig) spool(text string) *Spooled {
	r.t.Helper()
	sp, err := r.Spool(r.t.Context(), strings.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return sp
}

// batch begins the file work of delivering test message n.
func (r *rig) batch(n int) *contents.Batch {
	return r.files.NewBatch([]*contents.Spooled{r.spool(text(n)).Spooled})
}

// text is the n-th test message.
func text(n int) string {
	return fmt.Sprintf("From: a@example.com\r\nSubject: number %d\r\n\r\nbody %d\r\n", n, n)
}

// append delivers test message n.
func (r *rig) append(mailbox string, n int, flags ...string) UID {
	r.t.Helper()
	d := Delivery{Mailbox: r.id(mailbox), Message: r.spool(text(n)), Flags: flags, ReceivedAt: start.Add(time.Duration(n) * time.Second)}
	return r.deliver(d)[0].UID
}

func (r *rig) deliver(batch ...Delivery) []Delivered {
	r.t.Helper()
	out, err := r.Deliver(r.t.Context(), batch)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) fill(mailbox string, n int) {
	r.t.Helper()
	batch := make([]Delivery, n)
	for i := range batch {
		batch[i] = Delivery{Mailbox: r.id(mailbox), Message: r.spool(text(i + 1)), ReceivedAt: start}
	}
	r.deliver(batch...)
}

func (r *rig) view(mailbox string) *View {
	r.t.Helper()
	v, err := r.OpenView(r.t.Context(), r.id(mailbox))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(v.Close)
	return v
}

// lines writes a mailbox as text: one line per message, uid, flags, subject.
func (r *rig) lines(mailbox string) string {
	r.t.Helper()
	v, err := r.OpenView(r.t.Context(), r.id(mailbox))
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	p := v.Snapshot()
	contents, err := r.Contents(r.t.Context(), p.Contents, WantFile|wantSummary)
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for i, uid := range p.UIDs {
		if got := r.read(contents[i].Hash); int64(len(got)) != p.Sizes[i] || contents[i].Size != p.Sizes[i] {
			r.t.Errorf("uid %d: file %d, size column %d, content %d", uid, len(got), p.Sizes[i], contents[i].Size)
		}
		fmt.Fprintf(&b, "%d %s %s\n", uid, strings.Join(r.FlagNames(p.Flags[i]), " "), contents[i].Summary.Envelope.Subject())
	}
	return b.String()
}

// path is where the file of a message is.
func (r *rig) path(h Hash) string { return r.files.Path(h) }

func (r *rig) read(h Hash) []byte {
	r.t.Helper()
	f, err := r.OpenContent(h)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

func (r *rig) want(mailbox, lines string) {
	r.t.Helper()
	got := r.lines(mailbox)
	var b bytes.Buffer
	for _, l := range strings.Split(strings.TrimSpace(lines), "\n") {
		if l = strings.TrimSpace(l); l != "" {
			b.WriteString(l + "\n")
		}
	}
	if want := b.String(); got != want {
		r.t.Errorf("%s holds\n%swant\n%s", mailbox, got, want)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func hashOf(text string) Hash { return sha256.Sum256([]byte(text)) }
