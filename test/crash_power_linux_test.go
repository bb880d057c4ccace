package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/failpoint"
	"github.com/popbridge/popbridge/test/rig"
)

// disk is a file system that can lose its power: an ext4 of its own in a file.
// It writes its journal by itself only every ten minutes, and a rename does not
// make it write the file, so what was not synced is not there after a cut.
type disk struct {
	t     *testing.T
	image string
	dir   string
}

const (
	mountOptions = "loop,commit=600,noauto_da_alloc"

	// EXT4_IOC_SHUTDOWN, and its flag for "without writing the journal first":
	// everything not written by now is dropped, every later write fails.
	ioctlShutdown = 0x8004587d
	noLogFlush    = 2
)

func newDisk(t *testing.T) *disk { return newDiskAt(t, filepath.Join(t.TempDir(), "d")) }

func newDiskAt(t *testing.T, dir string) *disk {
	t.Helper()
	rig.Need(t, "mkfs.ext4", "mount")
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), dir: dir}
	must(t, os.MkdirAll(d.dir, 0o700))
	must(t, os.WriteFile(d.image, nil, 0o600))
	must(t, os.Truncate(d.image, 256<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := exec.Command("mount", "-t", "ext4", "-o", mountOptions, d.image, d.dir).CombinedOutput(); err != nil {
		// Mounting needs a privilege that containers may withhold even from root.
		t.Skipf("no file system can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "--lazy", d.dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return d
}

// cut takes the power away and gives it back.
func (d *disk) cut() {
	d.t.Helper()
	root, err := os.Open(d.dir)
	must(d.t, err)
	err = errors.Join(unix.IoctlSetPointerInt(int(root.Fd()), ioctlShutdown, noLogFlush), root.Close())
	must(d.t, err)
	// A process that another test is just starting has all files of this one open
	// until its program begins.
	eventually(d.t, "the file system can be unmounted", func() (bool, error) {
		out, err := exec.Command("umount", d.dir).CombinedOutput()
		if err != nil && strings.Contains(string(out), "busy") {
			return false, fmt.Errorf("%w: %s", err, out)
		}
		return true, err
	})
	if out, err := exec.Command("mount", "-t", "ext4", "-o", mountOptions, d.image, d.dir).CombinedOutput(); err != nil {
		d.t.Fatalf("mount: %v: %s", err, out)
	}
}

// A layer that dropped nothing would prove nothing.
func TestPowerCutDropsWhatWasNotSynced(t *testing.T) {
	d := newDisk(t)
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(d.dir, name))
		must(t, err)
		_, err = f.WriteString("text")
		must(t, err)
		if sync {
			must(t, f.Sync())
		}
		must(t, f.Close())
	}
	write("synced", true)
	write("written", false)
	must(t, os.Rename(filepath.Join(d.dir, "synced"), filepath.Join(d.dir, "renamed")))
	d.cut()
	if raw, err := os.ReadFile(filepath.Join(d.dir, "synced")); err != nil || string(raw) != "text" {
		t.Errorf("what was synced is %q; %v", raw, err)
	}
	for _, name := range []string{"written", "renamed"} {
		if _, err := os.Stat(filepath.Join(d.dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s outlived the cut without a sync: %v", name, err)
		}
	}
}

// The power goes at each step: what the program had not synced is lost with
// it. Still nothing is missing, nothing is there twice, and nothing has been
// deleted on the server that is not here. Steps at which policies do not differ
// are tried with one of them, or in the long form with all.
func TestPowerCutAtEachStep(t *testing.T) {
	rig.Need(t, "dovecot")
	d, link := distant(t)
	for i, keep := range policies {
		for _, point := range failpoint.Fetching() {
			if deletes(point) && !keep.deletes() || i > 0 && !long() && !deletes(point) && point != failpoint.Forgotten {
				continue
			}
			moment := moments(keep, point)
			n := moment[len(moment)-1]
			t.Run(fmt.Sprintf("%s/%s/%d", keep, point, n), func(t *testing.T) {
				t.Parallel()
				power := newDisk(t)
				s := newSeries(t, d, link, keep, filepath.Join(power.dir, "data"))
				if !s.life(fmt.Sprintf("%s=%d", point, n), func() { power.cut(); s.check() }) {
					t.Error("never came to this point")
				}
			})
		}
	}
}

func TestPowerCutAtRandomMoments(t *testing.T) {
	rig.Need(t, "dovecot")
	d, link := distant(t)
	for _, keep := range policies {
		t.Run(keep.String(), func(t *testing.T) {
			t.Parallel()
			power := newDisk(t)
			newSeries(t, d, link, keep, filepath.Join(power.dir, "data")).randomKills((kills(t, 7)+3)/4, power.cut)
		})
	}
}
