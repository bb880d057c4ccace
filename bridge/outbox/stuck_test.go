package outbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// wantStuck checks how many messages this computer keeps from leaving, and that so many people
// were told, with these words.
func (g *rig) wantStuck(stuck, notices int, words ...string) {
	g.t.Helper()
	s := g.runner.Status()
	if reports, n := g.told(); s.Stuck != stuck || n != notices || reports != 0 {
		g.t.Fatalf("%d stick, %d notices, %d reports, want %d and %d; %+v", s.Stuck, n, reports, stuck, notices, s)
	}
	for _, w := range words {
		if text := string(g.notices[notices-1]); !strings.Contains(text, w) {
			g.t.Errorf("the notice has no %q:\n%s", w, text)
		}
	}
}

// Of a message whose file is damaged or gone who sent it is told at once, and once, over
// restarts; status counts it, and it leaves where the file comes back.
func TestADamagedFileIsTold(t *testing.T) {
	for name, harm := range map[string]func(file string) error{
		"damaged": func(file string) error { return os.WriteFile(file, []byte("something else"), 0o600) },
		"missing": os.Remove,
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newStoreQueue(t, time.Now)
			g := newRigWith(t, store)
			id := g.submit("b@example.com")
			file, body := store.file()
			store.must(harm(file))
			g.store.submit("home", "a@example.org", sample(2), "c@example.com")
			for range 2 {
				g.restart(Account{})
				stop := g.serve()
				synctest.Wait()
				g.wantStuck(1, 1, "Subject: Not sent yet: test", `"test"`, "b@example.com", name+" (run 'popbridge check --repair', and send the message again)")
				pass(48 * time.Hour)
				g.wantStuck(1, 1)
				stop()
			}
			g.wantTaken(map[string]int{"c@example.com": 1}) // it delays no other
			store.must(os.WriteFile(file, body, 0o600))
			g.restart(Account{})
			stop := g.serve()
			pass(time.Second)
			g.wantStuck(1, 1)
			g.store.retry(id)
			pass(time.Second)
			g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1})
			g.wantStuck(0, 1)
			stop()
		})
	}
}

// file returns the only message file of the store, and what is in it.
func (q *storeQueue) file() (name string, body []byte) {
	q.must(filepath.WalkDir(filepath.Join(q.dir, "mail"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name = path
		}
		return err
	}))
	body, err := os.ReadFile(name)
	q.must(err)
	return name, body
}

// What may pass by itself is told after an hour: a file that cannot be read now, a store that
// does not let one message go.
func TestAStuckMessageIsTold(t *testing.T) {
	for name, harm := range map[string]func(*memQueue, mailstore.OutgoingID){
		"disk on fire": func(q *memQueue, id mailstore.OutgoingID) { q.unreadable = map[mailstore.OutgoingID]bool{id: true} },
		"no handover": func(q *memQueue, _ mailstore.OutgoingID) {
			q.broken = func(call string) error {
				if call == "BeginHandover" {
					return errors.New("no handover")
				}
				return nil
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			id := g.submit("b@example.com")
			harm(g.queue, id)
			stop := g.serve()
			pass(50 * time.Minute)
			g.wantStuck(1, 0)
			pass(24 * time.Hour)
			g.wantStuck(1, 1, "Subject: Not sent yet: test", name)
			g.queue.drop(id)
			synctest.Wait()
			g.wantStuck(0, 1)
			stop()
		})
	}
}

// A message that is dropped while it is opened is no reason to tell anybody.
func TestADroppedMessageIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.queue.delay = 2 * time.Hour
		id := g.submit("b@example.com")
		g.queue.before = func(call string) {
			if call == "OpenOutgoing" {
				g.queue.drop(id)
				g.queue.before = nil
			}
		}
		g.queue.broken = func(call string) error {
			if call == "OpenOutgoing" {
				return context.DeadlineExceeded
			}
			return nil
		}
		stop := g.serve()
		pass(3 * time.Hour)
		g.wantStuck(0, 0)
		stop()
	})
}
