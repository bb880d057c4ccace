package mailstore

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/contents"
)

// lossyDisk does what it is asked, and remembers what of it would still be there
// after a power cut: the content of a file as of its last sync, a name as of the
// last sync of its folder. What was not synced may survive or not, each for
// itself, so that no order of the disk is relied on. The index is taken to be
// durable with each commit: that is the word of SQLite.
type lossyDisk struct {
	mu   sync.Mutex
	now  map[string]*inode // names as they are
	kept map[string]*inode // names as they would be
	left int               // steps until the cut
	dead bool
}

// inode is a file, whatever its name. Those that were there before are sound.
type inode struct {
	data   []byte
	synced int // bytes that are durable
}

// step is called at the start of each operation, with the mutex held.
func (d *lossyDisk) step() error {
	if d.left--; d.left < 0 {
		d.dead = true
	}
	if d.dead {
		return &os.PathError{Op: "power", Path: "cut", Err: syscall.EIO}
	}
	return nil
}

// know returns the file of a name, taking one in that was there before.
func (d *lossyDisk) know(path string) *inode {
	if _, ok := d.now[path]; !ok {
		if data, err := os.ReadFile(path); err == nil {
			d.now[path] = &inode{data, len(data)}
			d.kept[path] = d.now[path]
		}
	}
	return d.now[path]
}

func (d *lossyDisk) CreateTemp(dir, pattern string) (contents.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	d.now[f.Name()] = &inode{}
	return &lossyFile{f, d, d.now[f.Name()]}, nil
}

func (d *lossyDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	ino := d.know(from)
	d.know(to)
	d.now[from], d.now[to] = nil, ino
	return os.Rename(from, to)
}

func (d *lossyDisk) Link(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.know(to)
	if err := os.Link(from, to); err != nil {
		return err
	}
	d.now[to] = d.know(from)
	return nil
}

func (d *lossyDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.know(path)
	d.now[path] = nil
	return os.Remove(path)
}

func (d *lossyDisk) Sync(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	if ino := d.know(path); ino != nil {
		ino.synced = len(ino.data)
	}
	return nil
}

func (d *lossyDisk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	for path, ino := range d.now {
		if filepath.Dir(path) == dir {
			d.kept[path] = ino
		}
	}
	return nil
}

type lossyFile struct {
	*os.File
	d   *lossyDisk
	ino *inode
}

// ReadFrom keeps io.Copy from going round Write.
func (f *lossyFile) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{f}, r)
}

func (f *lossyFile) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

func (f *lossyFile) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		return 0, err
	}
	f.ino.data = append(f.ino.data, p...)
	return f.File.Write(p)
}

func (f *lossyFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(); err != nil {
		return err
	}
	f.ino.synced = len(f.ino.data)
	return nil
}

// cut makes the folder what it would be after the power cut.
func (d *lossyDisk) cut(t testing.TB, coin *rand.Rand) {
	paths := slices.Collect(maps.Keys(d.now))
	slices.Sort(paths)
	for _, path := range paths {
		ino := d.kept[path]
		if d.now[path] != ino && coin.IntN(2) == 0 {
			ino = d.now[path]
		}
		if ino == nil {
			_ = os.Remove(path)
			continue
		}
		n := ino.synced
		if n < len(ino.data) && coin.IntN(2) == 0 {
			n += coin.IntN(len(ino.data) - n + 1)
		}
		_ = os.Remove(path) // or its second name would change as well
		must(t, os.WriteFile(path, ino.data[:n], 0o600))
	}
}

func TestAPowerCutTakesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "cut")
		must(t, err)
		p := &powerCut{rig: &rig{t: t, clock: &clock{start}, dir: filepath.Join(dir, "ann"), keep: keepOrphans}, rt: rt,
			acked: map[string]int{}, removed: map[string]bool{}, out: map[OutgoingID]int{}, handed: map[OutgoingID]bool{}}
		p.open()
		defer func() { must(t, p.Close()) }()
		for range rapid.IntRange(1, 5).Draw(rt, "cuts") {
			p.live()
			p.verify()
		}
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

// powerCut is a store on a lossy disk.
type powerCut struct {
	*rig
	rt      *rapid.T
	next    int
	acked   map[string]int // UIDL -> test message, of deliveries that were acknowledged
	removed map[string]bool

	out    map[OutgoingID]int  // letters that were acknowledged
	handed map[OutgoingID]bool // of them, those that may have been handed over
}

// live works until the cut, and starts again after it.
func (p *powerCut) live() {
	d := &lossyDisk{now: map[string]*inode{}, kept: map[string]*inode{}, left: rapid.IntRange(1, 90).Draw(p.rt, "steps")}
	p.files.Disk = d
	p.hook = func(step string) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.dead && step == "commit" {
			return &os.PathError{Op: "power", Path: "cut", Err: syscall.EIO}
		}
		return nil
	}
	for !d.dead {
		switch rapid.IntRange(0, 6).Draw(p.rt, "work") {
		case 0:
			p.purgeSome()
		case 1:
			_ = p.Healthy(p.t.Context()) // for what it leaves behind
			d.mu.Lock()
			d.left -= 5
			d.mu.Unlock()
		case 2:
			p.submitSome()
		case 3:
			p.sendSome()
			d.mu.Lock()
			d.left-- // a commit is no step of this disk
			d.mu.Unlock()
		default:
			p.fetchSome()
		}
	}
	must(p.t, p.Close())
	coin := rand.New(rand.NewPCG(rapid.Uint64().Draw(p.rt, "coin"), 0))
	d.cut(p.t, coin)
	info, err := os.Stat(p.logPath())
	must(p.t, err)
	must(p.t, os.Truncate(p.logPath(), coin.Int64N(info.Size()+1))) // it is never synced
	p.open()
}

func (p *powerCut) fetchSome() {
	batch, given := []Delivery{}, map[string]int{}
	for range rapid.IntRange(1, 5).Draw(p.rt, "batch") {
		p.next++
		n := rapid.IntRange(1, 30).Draw(p.rt, "message") // the same bytes may come again
		sp, err := p.Spool(p.t.Context(), strings.NewReader(text(n)))
		if err != nil {
			break
		}
		uidl := fmt.Sprint("U", p.next)
		batch = append(batch, Delivery{Mailbox: p.id("INBOX"), Message: sp, Origin: &Origin{Account: "home", UIDL: uidl}, ReceivedAt: start})
		given[uidl] = n
	}
	if _, err := p.Deliver(p.t.Context(), batch); err == nil {
		maps.Copy(p.acked, given)
	}
}

// purgeSome expunges what is there and lets its time pass.
func (p *powerCut) purgeSome() {
	p.expunge("INBOX", p.view("INBOX").Snapshot().UIDs...)
	for uidl := range p.acked {
		p.removed[uidl] = true
	}
	p.clock.t = p.clock.t.Add(2 * keepOrphans)
	_ = p.Purge(p.t.Context()) // may meet the cut
}

// verify holds what is there against what was acknowledged: all of it, once.
func (p *powerCut) verify() {
	p.hook = nil
	p.clean()
	p.verifyOut()
	want := map[Hash]int{}
	for uidl, n := range p.acked {
		if !p.removed[uidl] {
			want[hashOf(text(n))]++
		}
	}
	got := map[Hash]int{}
	contents, err := p.Contents(p.t.Context(), p.view("INBOX").Snapshot().Contents, WantFile)
	must(p.t, err)
	for _, c := range contents {
		got[c.Hash]++
		if hashOf(string(p.read(c.Hash))) != c.Hash {
			p.t.Errorf("message %s is not what was acknowledged", c.Hash)
		}
	}
	for h, n := range want {
		if got[h] != n {
			p.t.Errorf("message %s is there %d times, %d were acknowledged", h, got[h], n)
		}
	}
	if len(got) != len(want) {
		p.t.Errorf("%d messages, %d were acknowledged", len(got), len(want))
	}
	for uidl, n := range p.acked {
		d := p.from("home", uidl, n)
		if out := p.deliver(d); !out[0].Duplicate {
			p.t.Errorf("%s would come twice", uidl)
		}
	}
	p.clean()
}

// TestTheLossyDiskForgets holds the model itself to what it is for.
func TestTheLossyDiskForgets(t *testing.T) {
	dir := t.TempDir()
	d := &lossyDisk{now: map[string]*inode{}, kept: map[string]*inode{}, left: 100}
	write := func(name string, sync, syncDir bool) {
		f, err := d.CreateTemp(dir, name)
		must(t, err)
		_, err = io.WriteString(f, "text")
		must(t, err)
		if sync {
			must(t, f.Sync())
		}
		must(t, f.Close())
		must(t, d.Rename(f.Name(), filepath.Join(dir, name)))
		if syncDir {
			must(t, d.SyncDir(dir))
		}
	}
	write("file lost", false, true)
	write("durable", true, true)
	write("name lost", true, false)
	lost := map[string]bool{}
	for seed := range uint64(30) {
		d.cut(t, rand.New(rand.NewPCG(seed, 1)))
		for _, name := range []string{"file lost", "durable", "name lost"} {
			if data, _ := os.ReadFile(filepath.Join(dir, name)); string(data) != "text" {
				lost[name] = true
			}
		}
	}
	if !maps.Equal(lost, map[string]bool{"file lost": true, "name lost": true}) {
		t.Errorf("lost %v", lost)
	}
}
