package test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// mountData puts a tmpfs into the place of the data folder.
func (s *storeSeries) mountData(options string) (remount func(string)) {
	s.t.Helper()
	must(s.t, os.RemoveAll(s.p.Data))
	must(s.t, os.Mkdir(s.p.Data, 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0700,"+options, "tmpfs", s.p.Data).CombinedOutput(); err != nil {
		s.t.Skipf("no tmpfs can be mounted here: %v: %s", err, out)
	}
	s.t.Cleanup(func() {
		must(s.t, s.p.Stop())
		must(s.t, exec.Command("umount", "-l", s.p.Data).Run())
	})
	return func(options string) {
		s.t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+options, s.p.Data).CombinedOutput(); err != nil {
			s.t.Fatalf("remount %s: %v: %s", options, err, out)
		}
	}
}

// firstStart forgets all that an earlier run has left.
func (s *storeSeries) firstStart() {
	s.t.Helper()
	must(s.t, os.RemoveAll(filepath.Join(s.p.Dir, ".local")))
}

func TestADataDiskThatIsReadOnlyAtTheStart(t *testing.T) {
	s := newStoreSeries(t)
	s.firstStart()
	remount := s.mountData("size=64m,ro")
	s.put(3)
	s.launch()
	s.said("store-unwritable")
	oneMessage(t, command(t, s.p, 1, "sync"), "read-only")
	remount("rw")
	must(t, s.p.AddDevice(t.Context(), localUser, "test", devicePw))
	s.goesOn(3)
	healthy(t, s.p)
	// The same with a store that is there.
	stop(t, s.p)
	remount("ro")
	s.put(2)
	s.launch()
	s.said("store-unwritable")
	s.left(2)
	remount("rw")
	s.goesOn(5)
	s.left(0)
	healthy(t, s.p)
}

func TestADataDiskThatIsFullAtTheStart(t *testing.T) {
	s := newStoreSeries(t)
	s.firstStart()
	s.mountData("size=64m")
	full := filepath.Join(s.p.Data, "full")
	f, err := os.Create(full)
	must(t, err)
	if _, err := io.CopyN(f, zeros{}, 1<<30); err == nil {
		t.Fatal("the disk has no end")
	}
	must(t, f.Close())
	s.put(3)
	s.launch()
	s.said("store-full")
	s.left(3)
	must(t, os.Remove(full))
	must(t, s.p.AddDevice(t.Context(), localUser, "test", devicePw))
	s.goesOn(3)
	s.left(0)
	healthy(t, s.p)
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
