package mailstore

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/testkit"
)

// mounted is a store on a small file system of its own.
func mounted(t *testing.T) (r *rig, dir string) {
	dir = t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("cannot mount a file system:", err)
	}
	r = &rig{t: t, clock: &clock{start}, dir: filepath.Join(dir, "ann")}
	r.open()
	t.Cleanup(func() {
		r.clean()
		must(t, r.Close())
		must(t, syscall.Unmount(dir, syscall.MNT_DETACH))
	})
	return r, dir
}

func TestADiskThatIsFullForAWhile(t *testing.T) {
	r, dir := mounted(t)
	r.fill("INBOX", 3)
	v := r.view("INBOX")
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast, 0)
	_, err := r.Spool(t.Context(), strings.NewReader(strings.Repeat("x", 100_000)))
	wantKind(t, err, fault.Full)
	wantKind(t, r.Healthy(t.Context()), fault.Full)
	full := false
	for n := range 400 { // until the log of the index has no room left
		if _, err = r.SetFlags(t.Context(), r.id("INBOX"), []UID{2}, mailflags.Op(1+n%2), []string{`\Seen`}); err != nil {
			wantKind(t, err, fault.Full)
			full = true
			break
		}
	}
	if !full {
		t.Error("never full")
	}
	must(t, os.Remove(ballast))
	must(t, r.Healthy(t.Context()))
	r.flag([]UID{1}, mailflags.Add, `\Flagged`)
	r.append("INBOX", 4)
	r.fresh(v)
	must(t, r.Purge(t.Context()))
	before := r.state()
	r.lose(removeIndex)
	equal(t, "the log went on", r.state(), before)
}

func TestADiskThatIsReadOnlyForAWhile(t *testing.T) {
	r, dir := mounted(t)
	r.fill("INBOX", 3)
	id := r.id("INBOX")
	remount := func(flags uintptr) error {
		return syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=16m")
	}
	if err := remount(syscall.MS_RDONLY); err == nil {
		t.Error("became read-only under open files")
	}
	// So the index is closed first, as it is after an error.
	r.writer.mu.Lock()
	r.reader.drop()
	must(t, r.writer.dropLocked())
	r.dropLogLocked()
	r.writer.suspect = true
	r.writer.mu.Unlock()
	must(t, remount(syscall.MS_RDONLY))
	_, err := r.SetFlags(t.Context(), id, []UID{1}, mailflags.Add, []string{`\Seen`})
	wantKind(t, err, fault.Temporary)
	wantKind(t, r.Healthy(t.Context()), fault.Temporary)
	_, err = r.Spool(t.Context(), strings.NewReader("x"))
	wantKind(t, err, fault.Temporary)
	must(t, remount(0))
	must(t, r.Healthy(t.Context()))
	r.append("INBOX", 4)
	r.want("INBOX", "1  number 1\n2  number 2\n3  number 3\n4  number 4")
}

// TestADriveThatVanishes makes every open file of the store useless, as a
// network drive does, and brings the folder back.
func TestADriveThatVanishes(t *testing.T) {
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(t.TempDir(), "ann")} // not parallel: it replaces descriptors
	r.open()
	r.fill("INBOX", 3)
	v, id := r.view("INBOX"), r.id("INBOX")
	away := r.dir + ".away"
	dead, err := os.Open("/dev/null") // reads nothing, cannot be written
	must(t, err)
	defer dead.Close()
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, r.dir+"/") && !strings.HasSuffix(to, "-shm") {
			fd := 0
			for _, c := range filepath.Base(link) {
				fd = fd*10 + int(c-'0')
			}
			must(t, syscall.Dup3(int(dead.Fd()), fd, 0))
		}
	}
	must(t, os.Rename(r.dir, away))
	for range 2 {
		_, err = r.SetFlags(t.Context(), id, []UID{1}, mailflags.Add, []string{`\Seen`})
		if !fault.Is(err, fault.Temporary) && !fault.Is(err, fault.Corrupt) {
			t.Errorf("while it is away: %v", err)
		}
		wantKind(t, r.Healthy(t.Context()), fault.Temporary)
		if _, err = r.Mailboxes(t.Context()); err != nil { // what SQLite has in memory can be read
			wantKind(t, err, fault.Temporary)
		}
	}
	must(t, os.Rename(away, r.dir))
	must(t, r.Healthy(t.Context()))
	r.flag([]UID{2}, mailflags.Add, `\Flagged`)
	r.append("INBOX", 4)
	r.fresh(v)
	r.want("INBOX", "1  number 1\n2 \\Flagged number 2\n3  number 3\n4  number 4")
	r.clean()
	before := r.state()
	r.lose(removeIndex)
	equal(t, "the log went on", r.state(), before)
	must(t, r.Close())
}

// TestAMigrationOnADiskThatIsFullOrReadOnly changes nothing, says so, and is made when
// there is room.
func TestAMigrationOnADiskThatIsFullOrReadOnly(t *testing.T) {
	r, dir := mounted(t)
	version := len(migrations) - 1
	must(t, r.Close())
	must(t, os.RemoveAll(r.dir))
	r.clock.t = madeAt
	testkit.Unpack(t, archiveOf(version), r.dir)
	before := filesIn(t, r.dir)
	unchanged := func(err error, kind fault.Kind) {
		t.Helper()
		wantKind(t, err, kind)
		if fault.Hint(err) == "" {
			t.Error("no hint")
		}
		after := filesIn(t, r.dir)
		delete(after, "/index.db-wal") // without content
		delete(after, "/index.db-shm")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	must(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=16m"))
	unchanged(r.openWith(nil), fault.Temporary)
	must(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"))

	ballast := filepath.Join(dir, "ballast")
	for _, room := range []int64{0, 64 << 10} { // the copy takes more
		fill(t, ballast, room)
		unchanged(r.openWith(nil), fault.Full)
	}
	must(t, os.Remove(ballast))
	r.open()
	r.wantFormer(version, 14)
}

// fill makes a file that leaves so much room on its file system.
func fill(t *testing.T, path string, room int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
		}
	}
	info, err := f.Stat()
	must(t, err)
	must(t, f.Truncate(info.Size()-room))
	must(t, f.Close())
}
