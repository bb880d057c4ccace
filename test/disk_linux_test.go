package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// The store is on a drive that is pulled out under a running agent: fetching
// stops, clients are told so, one condition says what to do, nothing is deleted
// on the server, and all goes on by itself when the drive is back.
func TestADriveThatVanishesAndComesBack(t *testing.T) {
	rig.Need(t, "dovecot")
	d := dovecot(t, nil)
	put := func(from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			must(t, d.Put("home", testkit.Message(n)))
		}
	}
	left := func(want int) {
		t.Helper()
		if n, err := d.Count("home"); err != nil || n != want {
			t.Errorf("%d messages are left on the server, want %d; %v", n, want, err)
		}
	}
	put(0, 20)
	power := newDisk(t)
	a := account(d, "home")
	a.KeepOnServer = "never"
	p, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	must(t, os.Mkdir(p.Data, 0o700))
	must(t, os.Symlink(power.dir, filepath.Join(p.Data, "users")))
	must(t, p.Configure(a))
	must(t, p.AddDevice(t.Context(), localUser, "test", devicePw))
	start(t, p)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("popbridge: %s", tail(p.Log()))
		}
		must(t, p.Stop())
	})
	command(t, p, 0, "sync")
	left(0)
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")

	power.vanish()
	put(20, 25)
	oneMessage(t, command(t, p, 1, "sync"), "mail store")
	left(5)
	refusedAppend(t, c, 1, imap.ResponseCodeUnavailable)
	status, err := p.Status(t.Context())
	if err != nil || len(status.Health) != 1 || status.Health[0].Code != "store-unwritable" || status.Health[0].Hint == "" {
		t.Errorf("conditions %+v, %v; want one, that the store cannot be written", status.Health, err)
	}

	power.comeBack()
	eventually(t, "mail is fetched again", func() (bool, error) {
		out, err := p.Run(t.Context(), "", "sync")
		return err == nil && out.Code == 0, fmt.Errorf("%s %w", out.Stderr, err)
	})
	left(0)
	if n := len(fetchAll(t, p, "INBOX")); n != 25 {
		t.Errorf("INBOX has %d messages, want 25", n)
	}
	healthy(t, p)
	command(t, p, 0, "check")
}
