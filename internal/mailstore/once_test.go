package mailstore

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// once delivers as a client does that saves a sent message.
func (r *rig) once(mailbox string, n int, at time.Time, window time.Duration, flags ...string) Delivered {
	r.t.Helper()
	return r.deliver(Delivery{Mailbox: r.id(mailbox), Message: r.spool(text(n)), ReceivedAt: at, Once: window, Flags: flags})[0]
}

func TestTheSameBytesAreStoredOnce(t *testing.T) {
	r := newStore(t)
	first := r.once("Sent", 1, start, time.Minute)
	for _, c := range []struct {
		what    string
		mailbox string
		n       int
		at      time.Time
		window  time.Duration
		twin    bool
	}{
		{"again", "Sent", 1, start, time.Minute, true},
		{"a minute later", "Sent", 1, start.Add(time.Minute), time.Minute, true},
		{"a minute earlier", "Sent", 1, start.Add(-time.Minute), time.Minute, true},
		{"too late", "Sent", 1, start.Add(3 * time.Minute), time.Minute, false},
		{"other bytes", "Sent", 2, start, time.Minute, false},
		{"another mailbox", "Archive", 1, start, time.Minute, false},
		{"without being asked", "Sent", 1, start, 0, false},
	} {
		done := r.once(c.mailbox, c.n, c.at, c.window)
		if done.Duplicate != c.twin || c.twin && done != (Delivered{first.UID, first.UIDValidity, true}) {
			t.Errorf("%s: %+v", c.what, done)
		}
	}
	if m := r.box("Sent"); m.Messages != 4 {
		t.Errorf("Sent %+v", m)
	}
	equal(t, "check", strings.Join(r.codes(), " "), "")
}

// TestAMessageAboutToBeExpungedIsNoTwin: the mail would be lost with it.
func TestAMessageAboutToBeExpungedIsNoTwin(t *testing.T) {
	r := newStore(t)
	first := r.once("Sent", 1, start, time.Minute, `\Deleted`)
	second := r.once("Sent", 1, start, time.Minute)
	if second.Duplicate || second.UID == first.UID {
		t.Errorf("%+v", second)
	}
	r.expunge("Sent", first.UID)
	if third := r.once("Sent", 1, start, time.Minute); third.UID != second.UID {
		t.Errorf("%+v", third)
	}
	r.expunge("Sent", second.UID)
	if again := r.once("Sent", 1, start, time.Minute); again.Duplicate || r.box("Sent").Messages != 1 {
		t.Errorf("%+v", again)
	}
}

// TestATwinBringsALostFileBack: what is acknowledged is there.
func TestATwinBringsALostFileBack(t *testing.T) {
	r := newStore(t)
	sp := r.spool(text(1))
	hash := sp.Hash()
	r.deliver(Delivery{Mailbox: r.id("Sent"), Message: sp, ReceivedAt: start})
	must(t, os.Remove(r.path(hash)))
	if _, _, left := r.repair(); left == "" {
		t.Error("Repair has not found that the file is missing")
	}
	if done := r.once("Sent", 1, start, time.Minute); !done.Duplicate {
		t.Errorf("%+v", done)
	}
	equal(t, "bytes", string(r.read(hash)), text(1))
	equal(t, "check", strings.Join(r.codes(), " "), "")
}

func TestTwoAtOnceAreOne(t *testing.T) {
	r := newStore(t)
	id := r.id("Sent")
	var g errgroup.Group
	for range 8 {
		sp := r.spool(text(1))
		g.Go(func() error {
			_, err := r.Deliver(t.Context(), []Delivery{{Mailbox: id, Message: sp, ReceivedAt: start, Once: time.Minute}})
			return err
		})
	}
	must(t, g.Wait())
	if m := r.box("Sent"); m.Messages != 1 {
		t.Errorf("Sent %+v", m)
	}
	equal(t, "check", strings.Join(r.codes(), " "), "")
}
