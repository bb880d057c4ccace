//go:build unix

package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/test/rig"
)

// small is a message that costs little and is like no other.
func small(n int) []byte {
	return fmt.Appendf(nil, "From: u%d@example.org\r\nSubject: number %d\r\nMessage-ID: <%d@small.example>\r\nDate: Mon, 2 Jun 2025 10:00:00 +0000\r\n\r\nThis is number %d.\r\n", n, n, n, n)
}

// fuse is a relay in front of a server that burns after so many bytes in both
// directions, which is a random moment of whatever is going on.
type fuse struct {
	ln   net.Listener
	to   string
	left atomic.Int64
	all  atomic.Int64
	burn atomic.Pointer[func()]
	wg   sync.WaitGroup
}

func newFuse(t *testing.T, port int) *fuse {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fuse{ln: ln, to: rig.Addr(port)}
	f.wg.Go(f.accept)
	t.Cleanup(func() { _ = ln.Close(); f.wg.Wait() })
	return f
}

func (f *fuse) accept() {
	for {
		near, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			defer near.Close()
			far, err := net.Dial("tcp", f.to)
			if err != nil {
				return
			}
			defer far.Close()
			var both sync.WaitGroup
			both.Go(func() { _, _ = io.Copy(io.MultiWriter(f, far), near); _ = far.Close() })
			both.Go(func() { _, _ = io.Copy(io.MultiWriter(f, near), far); _ = near.Close() })
			both.Wait()
		})
	}
}

// Write counts what goes by.
func (f *fuse) Write(p []byte) (int, error) {
	f.all.Add(int64(len(p)))
	if f.left.Add(-int64(len(p))) <= 0 {
		if burn := f.burn.Load(); burn != nil {
			(*burn)()
		}
	}
	return len(p), nil
}

// killed runs a program that is killed after so many bytes, and reports whether
// that happened before its end. One that fails by itself fails the test.
func (f *fuse) killed(t *testing.T, after int64, dir, name string, args ...string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	kill, burn := context.WithCancel(ctx)
	defer burn()
	cmd := exec.CommandContext(kill, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	f.left.Store(after)
	f.burn.Store((*func())(&burn))
	out, err := cmd.CombinedOutput()
	f.burn.Store(nil)
	if ctx.Err() != nil {
		t.Fatalf("%s did not end", name)
	}
	if err != nil && kill.Err() == nil {
		t.Fatalf("%s: %v\n%s", name, err, tail(string(out)))
	}
	return err != nil
}

// twins is one mail in two places: in folders of a Maildir, and on the server.
// want is what both must have, by folder and Message-ID.
type twins struct {
	t    *testing.T
	p    *rig.Popbridge
	c    *imapclient.Client
	dir  string
	want map[string]map[string]string // flags, sorted
}

// near reads the Maildirs.
func (w *twins) near() map[string]map[string]string {
	w.t.Helper()
	all := make(map[string]map[string]string)
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		all[e.Name()] = make(map[string]string)
		for _, file := range maildir(w.t, filepath.Join(w.dir, e.Name())) {
			raw, err := os.ReadFile(file)
			if err != nil {
				w.t.Fatal(err)
			}
			_, flags, _ := strings.Cut(filepath.Base(file), ":2,")
			w.note(all[e.Name()], e.Name(), raw, flags)
		}
	}
	return all
}

// far reads the mailboxes.
func (w *twins) far() map[string]map[string]string {
	w.t.Helper()
	letters := map[imap.Flag]string{imap.FlagSeen: "S", imap.FlagFlagged: "F", imap.FlagAnswered: "R", imap.FlagDeleted: "T", imap.FlagDraft: "D"}
	all := make(map[string]map[string]string)
	for name, s := range state(w.t, w.p) {
		flags := make(map[imap.UID]string)
		for _, m := range s.messages {
			for _, f := range m.flags {
				flags[m.uid] += letters[f]
			}
		}
		all[name] = make(map[string]string)
		for _, m := range fetchAll(w.t, w.p, name) {
			w.note(all[name], name, m.body, flags[m.uid])
		}
	}
	return all
}

// note adds a message under its Message-ID; the same one twice in a folder is
// what must not be.
func (w *twins) note(folder map[string]string, name string, raw []byte, flags string) {
	w.t.Helper()
	id := messageID(w.t, raw)
	if _, twice := folder[id]; twice {
		w.t.Errorf("%s is in %s twice", id, name)
	}
	letters := strings.Split(flags, "")
	slices.Sort(letters)
	folder[id] = strings.Join(letters, "")
	var n int
	if _, err := fmt.Sscanf(id, "%d@small.example", &n); err == nil && crlf(raw) != sum(small(n)) {
		w.t.Errorf("%s in %s has changed: %q", id, name, raw)
	}
}

// compare holds both places against want; folders without messages count only
// where want has them.
func (w *twins) compare(when string) {
	w.t.Helper()
	for side, have := range map[string]map[string]map[string]string{"near": w.near(), "far": w.far()} {
		for folder, want := range w.want {
			got, there := have[folder]
			if !there {
				w.t.Errorf("%s, %s: no folder %s", when, side, folder)
			}
			lost, wrong := 0, 0
			for id, flags := range want {
				if f, there := got[id]; !there {
					lost++
				} else if f != flags {
					wrong++
					w.t.Logf("%s, %s: %s in %s has flags %q, want %q", when, side, id, folder, f, flags)
				}
			}
			if surplus := len(got) - len(want) + lost; lost+wrong+surplus > 0 {
				w.t.Errorf("%s, %s: %s: %d lost, %d with wrong flags, %d too many", when, side, folder, lost, wrong, surplus)
			}
		}
		for folder, got := range have {
			if _, known := w.want[folder]; !known && len(got) > 0 {
				w.t.Errorf("%s, %s: %d messages in %s", when, side, len(got), folder)
			}
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// changeNear is what a mail reader does to the Maildir; the messages are told
// apart by their number.
func (w *twins) changeNear(from int, folder string) {
	w.t.Helper()
	inbox := filepath.Join(w.dir, "INBOX")
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(w.dir, folder, sub), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			w.t.Fatal(err)
		}
	}
	files := make(map[string]string)
	for _, file := range maildir(w.t, inbox) {
		raw, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		files[messageID(w.t, raw)] = file
	}
	w.want[folder] = make(map[string]string)
	for n := from; n < from+120; n++ {
		id := fmt.Sprintf("%d@small.example", n)
		switch {
		case n < from+50:
			setMaildirFlags(w.t, files[id], "FS")
			w.want["INBOX"][id] = "FS"
		case n < from+80: // moved, as mail readers do it: under a new name
			if err := os.Rename(files[id], filepath.Join(w.dir, folder, "cur", fmt.Sprintf("17500%05d.M1P1.near:2,S", n))); err != nil {
				w.t.Fatal(err)
			}
			delete(w.want["INBOX"], id)
			w.want[folder][id] = "S"
		case n < from+110:
			if err := os.Remove(files[id]); err != nil {
				w.t.Fatal(err)
			}
			delete(w.want["INBOX"], id)
		default: // a new one
			fresh := 1_000_000 + n
			write(w.t, filepath.Join(inbox, "new", fmt.Sprintf("17500%d.M2P1.near", fresh)), strings.ReplaceAll(string(small(fresh)), "\r\n", "\n"))
			w.want["INBOX"][fmt.Sprintf("%d@small.example", fresh)] = ""
		}
	}
}

// changeFar does the same over IMAP; uids are those of the messages by number.
func (w *twins) changeFar(uids map[string]imap.UID, from int, folder string) {
	w.t.Helper()
	ok := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	set := func(from, to int) (set imap.UIDSet, ids []string) {
		for n := from; n < to; n++ {
			ids = append(ids, fmt.Sprintf("%d@small.example", n))
			set.AddNum(uids[ids[len(ids)-1]])
		}
		return set, ids
	}
	flagged, ids := set(from, from+50)
	for _, id := range ids {
		w.want["INBOX"][id] = "FR"
	}
	ok(w.c.Store(flagged, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, imap.FlagAnswered}}, nil).Close())
	ok(w.c.Create(folder, nil).Wait())
	moved, ids := set(from+50, from+80)
	w.want[folder] = make(map[string]string)
	for _, id := range ids {
		delete(w.want["INBOX"], id)
		w.want[folder][id] = ""
	}
	_, err := w.c.Move(moved, folder).Wait()
	ok(err)
	gone, ids := set(from+80, from+110)
	for _, id := range ids {
		delete(w.want["INBOX"], id)
	}
	ok(w.c.Store(gone, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	ok(w.c.UIDExpunge(gone).Close())
	for n := from + 110; n < from+120; n++ {
		appendMessage(w.t, w.c, "INBOX", small(1_000_000+n))
		w.want["INBOX"][fmt.Sprintf("%d@small.example", 1_000_000+n)] = ""
	}
}

func appendMessage(t *testing.T, c *imapclient.Client, mailbox string, raw []byte, flags ...imap.Flag) {
	t.Helper()
	cmd := c.Append(mailbox, int64(len(raw)), &imap.AppendOptions{Flags: flags})
	_, err := cmd.Write(raw)
	if err = errors.Join(err, cmd.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// mbsyncrc is the config of client-setup, over STARTTLS, for another port.
func (w *twins) mbsyncrc(port int) string {
	w.t.Helper()
	text := clientFile(w.t, w.p, w.p.Dir, "popbridge.mbsyncrc")
	return write(w.t, filepath.Join(w.p.Dir, "mbsyncrc"), strings.Replace(text, fmt.Sprintf("\nPort %d\n", w.p.Port), fmt.Sprintf("\nPort %d\n", port), 1))
}

// Five thousand messages two ways, killed again and again: at the end both
// sides have the same, nothing lost and nothing doubled.
func TestMbsyncTwoWaysKilledAndResumed(t *testing.T) {
	rig.Need(t, "dovecot", "mbsync")
	t.Parallel()
	const count = 5000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	d := dovecot(t, nil)
	w := &twins{t: t, want: map[string]map[string]string{"INBOX": {}}}
	messages := make([][]byte, count)
	for n := range messages {
		messages[n] = small(n)
		w.want["INBOX"][fmt.Sprintf("%d@small.example", n)] = ""
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	w.p = overTLS(t, "starttls", d)
	w.dir = filepath.Join(w.p.Dir, "Mail")
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := newFuse(t, w.p.Port)
	rc := w.mbsyncrc(f.ln.Addr().(*net.TCPAddr).Port)
	run := func() (bytes int64) {
		t.Helper()
		f.all.Store(0)
		program(t, w.p.Dir, "mbsync", "-q", "-c", rc, "popbridge")
		return f.all.Load()
	}
	// sync kills mbsync at moments between two numbers of bytes, and then lets it
	// come to its end.
	sync := func(what string, kills int, low, high int64) (killed int) {
		t.Helper()
		for range kills {
			if f.killed(t, low+random.Int64N(high-low), w.p.Dir, "mbsync", "-q", "-c", rc, "popbridge") {
				killed++
			}
		}
		t.Logf("%s: killed %d of %d times; the last run took %d bytes", what, killed, kills, run())
		w.compare("after " + what)
		return killed
	}
	if sync("the first copy", 4, 1, 1<<20) == 0 {
		t.Error("mbsync was never killed in the first copy")
	}

	w.c = login(t, w.p, nil)
	selectMailbox(t, w.c, "INBOX")
	uids := make(map[string]imap.UID)
	for _, m := range fetchAll(t, w.p, "INBOX") {
		uids[messageID(t, m.body)] = m.uid
	}
	// What a run costs that has nothing to do; what is to be done comes on top.
	idle := run()
	killed := 0
	for round := range 3 {
		w.changeNear(1000+200*round, fmt.Sprint("From near ", round))
		w.changeFar(uids, 3000+200*round, fmt.Sprint("From far ", round))
		killed += sync(fmt.Sprint("changes on both sides ", round), 3, idle/2, idle+64<<10)
	}
	if killed == 0 { // in nine runs
		t.Error("mbsync was never killed while it changed things")
	}
	command(t, w.p, 0, "check")
}
