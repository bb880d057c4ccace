package mailstore

import (
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/mailflags"
)

func marked(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestViewsAreMarkedOnce(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	a, b, other := r.view("INBOX"), r.view("INBOX"), r.view("Sent")
	any, stop := r.Watch()
	if marked(a.Changed()) || marked(any) {
		t.Error("marked without a change")
	}
	for n := 2; n <= 5; n++ {
		r.append("INBOX", n)
	}
	if !marked(a.Changed()) || marked(a.Changed()) || !marked(b.Changed()) || !marked(any) || marked(any) {
		t.Error("not one mark after several commits")
	}
	if marked(other.Changed()) {
		t.Error("another mailbox was marked")
	}
	if len(a.Snapshot().UIDs) != 5 || a.Snapshot() != b.Snapshot() {
		t.Error("the views do not share the newest snapshot")
	}
	r.flag([]UID{1}, mailflags.Add, `\Seen`)
	before := a.Snapshot()
	marked(a.Changed())
	r.flag([]UID{1}, mailflags.Add, `\Seen`) // changes nothing
	if marked(a.Changed()) || a.Snapshot() != before {
		t.Error("marked for nothing")
	}
	stop()
	stop()
	marked(any)
	r.append("INBOX", 6)
	if marked(any) {
		t.Error("marked after the watch ended")
	}
	a.Close()
	a.Close()
	if !marked(b.Changed()) {
		t.Error("the other view is not marked")
	}
	b.Close()
	if len(r.feed.live) != 1 {
		t.Errorf("%d mailboxes are kept in memory", len(r.feed.live))
	}
}

func TestSnapshotsNeverChange(t *testing.T) {
	r := newStore(t)
	v := r.view("INBOX")
	type shot struct {
		p    *Snapshot
		text string
	}
	var shots []shot
	shoot := func() { shots = append(shots, shot{v.Snapshot(), fmt.Sprintf("%+v", *v.Snapshot())}) }
	for n := range 40 {
		shoot()
		r.append("INBOX", n)
		shoot()
		r.flag([]UID{UID(n + 1), UID(n / 2)}, mailflags.Add, `\Flagged`)
		if n%7 == 6 {
			shoot()
			r.flag([]UID{UID(n), UID(n - 3)}, mailflags.Add, `\Deleted`)
			_, err := r.Expunge(t.Context(), r.id("INBOX"), nil)
			must(t, err)
		}
		r.fresh(v)
	}
	for i, s := range shots {
		if got := fmt.Sprintf("%+v", *s.p); got != s.text {
			t.Fatalf("snapshot %d was\n%s\nis\n%s", i, s.text, got)
		}
	}
}

func TestClaimRecent(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 3)
	v := r.view("INBOX")
	claim := func(want UID, left uint32) {
		t.Helper()
		from, next, err := v.ClaimRecent(t.Context())
		must(t, err)
		if from != want || next != r.box("INBOX").UIDNext {
			t.Errorf("recent from %d to below %d, want from %d", from, next, want)
		}
		if m := r.box("INBOX"); m.Recent != left || v.Snapshot().Mailbox.Recent != left {
			t.Errorf("%d recent left", m.Recent)
		}
	}
	if m := r.box("INBOX"); m.Recent != 3 || v.Snapshot().RecentFrom != 1 {
		t.Errorf("%d recent", m.Recent)
	}
	claim(1, 0)
	claim(4, 0)
	r.append("INBOX", 4)
	r.append("INBOX", 5, `\Deleted`)
	if m := r.box("INBOX"); m.Recent != 2 {
		t.Errorf("%d recent", m.Recent)
	}
	_, err := r.Expunge(t.Context(), r.id("INBOX"), nil)
	must(t, err)
	if m := r.box("INBOX"); m.Recent != 1 {
		t.Errorf("%d recent", m.Recent)
	}
	modseq := r.box("INBOX").HighestModSeq
	r.reopen()
	v = r.view("INBOX")
	claim(4, 0)
	claim(6, 0)
	if got := r.box("INBOX").HighestModSeq; got != modseq {
		t.Errorf("modseq rose to %d", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	r := newStore(t)
	ctx := t.Context()
	id, sent := r.id("INBOX"), r.id("Sent")
	r.fill("INBOX", 50)
	var workers errgroup.Group
	for w := range 3 {
		workers.Go(func() error { // the same contents in all of them
			for n := range 8 {
				batch := make([]Delivery, 5)
				for i := range batch {
					batch[i] = Delivery{Mailbox: id, Message: r.spool(text(n*5 + i)), Origin: &Origin{Account: fmt.Sprint(w), UIDL: fmt.Sprint(n, i)}}
				}
				if _, err := r.Deliver(ctx, batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	workers.Go(func() error {
		for i := range 30 {
			if _, err := r.SetFlags(ctx, id, []UID{UID(i), UID(2 * i), UID(3 * i)}, mailflags.Op(i%3), []string{`\Seen`, fmt.Sprint("w", i%5)}); err != nil {
				return err
			}
		}
		return nil
	})
	workers.Go(func() error {
		for i := range 15 {
			uids := []UID{UID(10 + i), UID(20 + i)}
			if _, err := r.Move(ctx, id, uids, sent); err != nil {
				return err
			}
			if _, err := r.SetFlags(ctx, sent, []UID{UID(i)}, mailflags.Add, []string{`\Deleted`}); err != nil {
				return err
			}
			if _, err := r.Expunge(ctx, sent, nil); err != nil {
				return err
			}
		}
		return nil
	})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() { r.follow(id, done) })
	}
	if err := workers.Wait(); err != nil {
		t.Error(err)
	}
	close(done)
	readers.Wait()
	r.fresh(r.view("INBOX"))
	if m := r.box("INBOX"); m.UIDNext != 171 {
		t.Errorf("uidnext %d", m.UIDNext)
	}
}

// follow reads a mailbox as a session does until done: snapshots must be sound
// and never go back.
func (r *rig) follow(id MailboxID, done <-chan struct{}) {
	v, err := r.OpenView(r.t.Context(), id)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer v.Close()
	var last ModSeq
	for {
		p := v.Snapshot()
		n := int(p.Mailbox.Messages)
		if len(p.UIDs) != n || len(p.Flags) != n || len(p.Contents) != n || !slices.IsSorted(p.UIDs) || p.Mailbox.HighestModSeq < last {
			r.t.Errorf("snapshot %+v after modseq %d", p.Mailbox, last)
		}
		if n > 0 && slices.Max(p.ModSeqs) > p.Mailbox.HighestModSeq {
			r.t.Errorf("a message is newer than its mailbox")
		}
		last = p.Mailbox.HighestModSeq
		if _, err := r.Contents(r.t.Context(), p.Contents[:min(n, 20)], WantFile|wantSummary); err != nil {
			r.t.Error(err)
		}
		select {
		case <-v.Changed():
		case <-done:
			return
		}
	}
}

// TestWatchersAreToldOfWhatWasReadAgain: a rebuilt index may have anything changed.
func TestWatchersAreToldOfWhatWasReadAgain(t *testing.T) {
	r := newStore(t)
	any, stop := r.Watch()
	defer stop()
	if err := r.refresh(t.Context()); err != nil || !marked(any) {
		t.Error("not marked", err)
	}
}

// A large mailbox is read by several connections at once, whatever gaps its UIDs
// have: each message is there once, in order.
func TestALargeMailboxIsReadInParts(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(readConns))
	for name, gaps := range map[string]string{
		"none":          `UPDATE message SET uid = uid`,
		"one by one":    `DELETE FROM message WHERE uid % 3 = 0`,
		"in the middle": `DELETE FROM message WHERE uid BETWEEN 2000 AND 9000`,
		"at the end":    `UPDATE message SET uid = 4000000000 WHERE uid = (SELECT max(uid) FROM message)`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newStore(t)
			id := r.big(3 * partMessages)
			r.sql(gaps)
			r.sql(`UPDATE mailbox SET (uidnext, messages, unseen, recent, size) =
				(SELECT max(uid) + 1, count(*), sum(system & 1 = 0), count(*), sum(size) FROM message) WHERE id = ?`, id)
			v, err := r.OpenView(t.Context(), id)
			must(t, err)
			defer v.Close()
			var want []UID
			must(t, r.reader.rows(t.Context(), `SELECT uid FROM message ORDER BY uid`, nil, func(rows *sql.Rows) error {
				var uid UID
				err := rows.Scan(&uid)
				want = append(want, uid)
				return err
			}))
			s := v.Snapshot()
			if !slices.Equal(s.UIDs, want) || len(s.Flags) != len(want) || len(s.ModSeqs) != len(want) || len(s.Sizes) != len(want) ||
				len(s.Received) != len(want) || len(s.Saved) != len(want) || len(s.Contents) != len(want) || s.Mailbox.ID != id {
				t.Errorf("%d messages, want %d", len(s.UIDs), len(want))
			}
		})
	}
}
