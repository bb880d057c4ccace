package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// vanish makes everything on the disk fail with an I/O error from now on, for
// what is open as well.
func (d *disk) vanish() {
	d.t.Helper()
	root, err := os.Open(d.dir)
	must(d.t, err)
	must(d.t, unix.IoctlSetPointerInt(int(root.Fd()), ioctlShutdown, noLogFlush))
	must(d.t, root.Close())
}

// comeBack puts the disk where it was, as it was. What is open stays what it
// is, and so would the image while it is in use: it is a copy that comes back.
func (d *disk) comeBack() {
	d.t.Helper()
	again := d.image + ".again"
	for _, args := range [][]string{{"cp", d.image, again}, {"umount", "-l", d.dir}, {"mount", "-t", "ext4", "-o", mountOptions, again, d.dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			d.t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
}

// diskSeries is a running agent whose mail lies on a disk of its own, with a
// mailbox that is emptied.
type diskSeries struct {
	t *testing.T
	d *rig.Dovecot
	p *rig.Popbridge
	*disk
}

func newDiskSeries(t *testing.T) *diskSeries {
	t.Helper()
	p, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	s := &diskSeries{t: t, p: p, d: dovecot(t, nil), disk: newDiskAt(t, filepath.Join(p.Data, "users"))}
	must(t, os.Remove(filepath.Join(s.dir, "lost+found")))
	a := account(s.d, "home")
	a.KeepOnServer = "never"
	must(t, p.Configure(a))
	must(t, p.AddDevice(t.Context(), localUser, "test", devicePw))
	s.put(0, 20)
	start(t, p)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("popbridge: %s", tail(p.Log()))
		}
		must(t, p.Stop())
	})
	command(t, p, 0, "sync")
	s.left(0)
	return s
}

func (s *diskSeries) put(from, to int) {
	s.t.Helper()
	for n := from; n < to; n++ {
		must(s.t, s.d.Put("home", testkit.Message(n)))
	}
}

// left checks how many messages are on the server.
func (s *diskSeries) left(want int) {
	s.t.Helper()
	if n, err := s.d.Count("home"); err != nil || n != want {
		s.t.Errorf("%d messages are left on the server, want %d; %v", n, want, err)
	}
}

// inTrouble checks that nothing is fetched or deleted, and that one condition
// says why.
func (s *diskSeries) inTrouble(waiting int) {
	s.t.Helper()
	oneMessage(s.t, command(s.t, s.p, 1, "sync"), "mail store")
	s.left(waiting)
	status, err := s.p.Status(s.t.Context())
	if err != nil || len(status.Health) != 1 || status.Health[0].Code != "store-unwritable" || status.Health[0].Hint == "" {
		s.t.Errorf("conditions %+v, %v; want one, that the store cannot be written", status.Health, err)
	}
}

// wellAgain checks that all goes on without a restart.
func (s *diskSeries) wellAgain(want int) {
	s.t.Helper()
	eventually(s.t, "mail is fetched again", func() (bool, error) {
		out, err := s.p.Run(s.t.Context(), "", "sync")
		return err == nil && out.Code == 0, fmt.Errorf("%s %w", out.Stderr, err)
	})
	s.left(0)
	if n := len(fetchAll(s.t, s.p, "INBOX")); n != want {
		s.t.Errorf("INBOX has %d messages, want %d", n, want)
	}
	healthy(s.t, s.p)
	command(s.t, s.p, 0, "check")
}

// The store is on a drive that is pulled out under a running agent: fetching
// stops, clients are told so, one condition says what to do, nothing is deleted
// on the server, and all goes on by itself when the drive is back.
func TestADriveThatVanishesAndComesBack(t *testing.T) {
	rig.Need(t, "dovecot")
	s := newDiskSeries(t)
	c := login(t, s.p, nil)
	selectMailbox(t, c, "INBOX")
	s.vanish()
	s.put(20, 25)
	s.inTrouble(5)
	refusedAppend(t, c, 1, imap.ResponseCodeUnavailable)
	s.comeBack()
	s.wellAgain(25)
}

// The same with a disk that is mounted read-only when the agent starts.
func TestADiskThatIsReadOnly(t *testing.T) {
	rig.Need(t, "dovecot")
	s := newDiskSeries(t)
	remount := func(mode string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+mode, s.dir).CombinedOutput(); err != nil {
			t.Fatalf("remount %s: %v: %s", mode, err, out)
		}
	}
	stop(t, s.p)
	remount("ro")
	start(t, s.p)
	s.put(20, 25)
	s.inTrouble(5)
	_, err := rig.IMAP(rig.Addr(s.p.Port), localUser, devicePw, "EXAMINE INBOX")
	if err == nil || !strings.Contains(err.Error(), "[UNAVAILABLE]") {
		t.Errorf("a login was answered %v, want NO [UNAVAILABLE]", err)
	}
	remount("rw")
	s.wellAgain(25)
}
