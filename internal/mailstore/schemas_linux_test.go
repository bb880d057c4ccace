package mailstore

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// TestAMigrationOnADiskThatIsFullOrReadOnly fails with a hint, changes nothing, and goes
// through when there is room.
func TestAMigrationOnADiskThatIsFullOrReadOnly(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "disk"), 0o700))
	disk := filepath.Join(dir, "disk")
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("cannot mount a file system:", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	r := &rig{t: t, clock: &clock{start}, dir: filepath.Join(disk, "ann")}
	unpack(t, 4, "ann", r.dir)
	former := filepath.Join(dir, "index.db")
	must(t, copyFile(r.index(), former))
	want := rows(t, former, former)
	refused := func(kind fault.Kind) {
		t.Helper()
		_, err := Open(t.Context(), r.dir, Options{})
		wantKind(t, err, kind)
		if fault.Hint(err) == "" {
			t.Error("no hint: ", err)
		}
	}

	f, err := os.Create(filepath.Join(disk, "ballast"))
	must(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	size, err := f.Seek(0, io.SeekCurrent)
	must(t, err)
	must(t, f.Truncate(size-64<<10)) // room for half a copy
	must(t, f.Close())
	refused(fault.Full)
	must(t, syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=2m"))
	refused(fault.Temporary)
	must(t, syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT, "size=2m"))
	equal(t, "the index", rows(t, r.index(), former), want)
	must(t, os.Remove(f.Name()))
	r.open()
	r.wantFormer(4, int(number(t, former, `SELECT count(*) FROM message`)))
	r.usable(t)
	must(t, r.Close())
}
