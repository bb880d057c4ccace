package mailstore

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/fault"
)

// kill is a copy of the store as a kill would leave it, and what had happened by then.
type kill struct {
	step, dir           string
	acked, dotted, sent bool
}

// TestAKillOnTheWayOut copies the store at each step from the submission to Sent, as a
// kill would leave it, and opens the copy.
func TestAKillOnTheWayOut(t *testing.T) {
	r := newStore(t)
	var mu sync.Mutex
	var kills []kill
	var now kill
	r.hook = func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		k := now
		k.step, k.dir = step, filepath.Join(t.TempDir(), fmt.Sprint(len(kills)))
		kills = append(kills, k)
		return os.CopyFS(k.dir, os.DirFS(r.dir))
	}
	id := r.submit(r.submission(1))
	now.acked = true
	r.handover(id)
	now.dotted = true
	r.attempted(id, accepted("eva@example.com"))
	now.sent = true
	must(t, r.Purge(t.Context()))

	seen := map[string]int{}
	for _, k := range kills {
		seen[k.step]++
		c := &rig{t: t, clock: r.clock, dir: k.dir}
		c.open()
		c.wantOnce(k, false)
		c.lose(removeIndex)
		c.wantOnce(k, true)
		must(t, c.Close())
	}
	for _, step := range []string{"journal", "sync", "rename", "syncdir", "commit", "log", "committed", "unjournal"} {
		if seen[step] == 0 || step == "commit" && seen[step] < 3 {
			t.Errorf("too seldom at step %s: %v", step, seen)
		}
	}
}

// wantOnce looks at what a kill has left: what was acknowledged is there, in the Outbox
// or in Sent, and what may have been handed over does not wait again; after the index was
// rebuilt nothing does.
func (r *rig) wantOnce(k kill, rebuilt bool) {
	r.t.Helper()
	what := fmt.Sprintf("killed at %s, acknowledged %v, handed over %v, sent %v, rebuilt %v", k.step, k.acked, k.dotted, k.sent, rebuilt)
	list, err := r.Outgoing(r.t.Context())
	must(r.t, err)
	sent := strings.Count(r.lines("Sent"), "\n") // reads each file
	if n := len(list) + sent; n > 1 || k.acked && n != 1 || k.sent && sent != 1 {
		r.t.Errorf("%s: %d in the Outbox, %d in Sent", what, len(list), sent)
	}
	for _, o := range list {
		f, err := r.OpenOutgoing(r.t.Context(), o.ID)
		must(r.t, err)
		must(r.t, f.Close())
		waits := o.State == Waiting || o.State == Handing
		if waits && (k.dotted || rebuilt) || o.State == Handing {
			r.t.Errorf("%s: state %d", what, o.State)
		}
	}
	r.clean()
}

// A commit that fails leaves the message as it was, and the file of a submission is gone.
func TestTheOutboxWhereTheDiskIsFull(t *testing.T) {
	r := newStore(t)
	id := r.submit(r.submission(1))
	full := func(step string) error {
		if step == "commit" {
			return &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
		}
		return nil
	}
	r.hook = full
	_, _, err := r.Submit(t.Context(), r.submission(2))
	wantKind(t, err, fault.Full)
	wantKind(t, r.BeginHandover(t.Context(), id, []string{"eva@example.com"}), fault.Full)
	r.hook = nil
	equal(t, "queue", r.queue(), "1 1/0 eva=1")
	r.handover(id)
	r.hook = full
	wantKind(t, r.Attempted(t.Context(), id, accepted("eva@example.com")), fault.Full)
	r.hook = nil
	equal(t, "queue", r.queue(), "1 2/0 eva=4")
	r.attempted(id, accepted("eva@example.com"))
	r.want("Sent", `1 \Seen letter 1`)
}

// waysOut brings the Outbox into all its states, and Sent.
func (r *rig) waysOut() {
	r.t.Helper()
	sub := r.submission(1, "eva@example.com", "bob@example.com")
	sub.NotBefore, sub.EightBit, sub.UTF8, sub.InReplyTo = start.Add(time.Hour), true, true, []string{"<a@example.com>", "<b@example.com>"}
	r.submit(sub)
	must(r.t, r.HoldOutgoing(r.t.Context(), r.submit(r.submission(2)), true))
	unknown := r.submit(r.submission(3))
	r.handover(unknown)
	r.attempted(unknown, Attempt{Unknown: true, Counts: true, Error: "Leitung unterbrochen (ü %)"})
	for n, state := range []RecipientState{Refused, Accepted} {
		id := r.submit(r.submission(4+n, "eva@example.com", "bob@example.com"))
		r.handover(id)
		a := accepted("bob@example.com")
		a.Recipients = append(a.Recipients, OutgoingRecipient{"eva@example.com", state, "550 5.1.1 <eva>: no"})
		r.attempted(id, a)
	}
	must(r.t, r.DropOutgoing(r.t.Context(), r.submit(r.submission(6))))
	r.comes("home", "A", listed(5))
}

const everyState = "1 1/0 eva=1 bob=1; 2 4/0 eva=1; 3 3/1 eva=4 Leitung unterbrochen (ü %); 4 5/1 eva=3 bob=2"

var everyStateHeld = "1 4/0 eva=1 bob=1 " + heldText + everyState[len("1 1/0 eva=1 bob=1"):]

func TestTheOutboxOfARebuiltIndex(t *testing.T) {
	for _, renewed := range []bool{false, true} {
		t.Run(fmt.Sprint(renewed), func(t *testing.T) {
			r := newStore(t)
			r.waysOut()
			equal(t, "queue", r.queue(), everyState)
			if renewed { // as written from the index, not as it grew
				must(t, r.Close())
				must(t, os.Remove(r.logPath()))
				r.open()
			}
			before, err := r.Outgoing(t.Context())
			must(t, err)
			state := r.state()
			report := r.lose(removeIndex)
			if len(report.Left) > 0 || report.Recovered > 0 {
				t.Errorf("report %+v", report)
			}
			equal(t, "state", r.state(), state)
			equal(t, "queue", r.queue(), everyStateHeld)
			before[0].State, before[0].LastError = Held, heldText
			after, err := r.Outgoing(t.Context())
			must(t, err)
			for i := range after {
				after[i].content = before[i].content // rows of the index have new numbers
			}
			equal(t, "all of it", fmt.Sprintf("%+v", after), fmt.Sprintf("%+v", before))
			// What was sent is still known.
			if done := r.comes("home", "B", listed(5)); !done.Duplicate {
				t.Errorf("%+v", done)
			}
			must(t, r.RetryOutgoing(t.Context(), after[0].ID))
			r.handover(after[0].ID)
		})
	}
}

func TestTheOutboxOfABackupIsHeld(t *testing.T) {
	r := newStore(t)
	r.waysOut()
	dir := t.TempDir()
	r.backup(dir)
	c, _ := r.restored(dir)
	equal(t, "queue", c.queue(), everyStateHeld)
	c.clean()
}

// agentOf opens the store as an agent does that has a lease of it.
func (r *rig) agentOf(lease *Lease) {
	r.t.Helper()
	s, err := Open(r.t.Context(), r.dir, Options{Now: r.clock.now, KeepExpunged: keepExpunged, Lease: *lease,
		Extend: func(_ string, l Lease) { *lease = l }})
	must(r.t, err)
	r.Store = s
}

// TestAnOlderCopyIsHeld puts a copy back that was made before a message was handed over,
// in the midst of its lease: it must not leave again.
func TestAnOlderCopyIsHeld(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	must(t, r.Close())
	lease := Lease{From: 1, To: 1}
	r.agentOf(&lease)
	id := r.submit(r.submission(1))
	older := filepath.Join(t.TempDir(), "older")
	must(t, os.CopyFS(older, os.DirFS(r.dir)))
	killed := &rig{t: t, clock: r.clock, dir: filepath.Join(t.TempDir(), "killed")}
	must(t, os.CopyFS(killed.dir, os.DirFS(r.dir)))
	at := lease
	killed.agentOf(&at)
	equal(t, "killed", killed.queue(), "1 1/0 eva=1")
	must(t, killed.Close())

	r.handover(id)
	r.attempted(id, accepted("eva@example.com"))
	must(t, r.Close())
	must(t, os.RemoveAll(r.dir))
	must(t, os.CopyFS(r.dir, os.DirFS(older)))
	r.agentOf(&lease)
	equal(t, "put back", r.queue(), "1 4/0 eva=1 "+heldText)
	if !r.PutBack() {
		t.Error("not noticed")
	}
}

func TestTheOutboxOfAStoreFromElsewhereIsHeld(t *testing.T) {
	r := newStore(t)
	r.submit(r.submission(1))
	must(t, r.Close())
	r.agentOf(&Lease{})
	equal(t, "queue", r.queue(), "1 4/0 eva=1 "+heldText)
}

func TestTheOutboxIsCheckedAndRepaired(t *testing.T) {
	for what, c := range map[string]struct{ damage, codes, queue, recovered string }{
		"no message":    {`DELETE FROM message WHERE uid = 1 AND mailbox_id = ` + outboxID, "outgoing-reference wrong-count wrong-orphan", "2 1/0 eva=1", "1  letter 1"},
		"no row":        {`DELETE FROM outgoing WHERE uid = 1`, "index-reference outgoing-reference", "2 1/0 eva=1", `1 \Seen letter 1`},
		"no recipients": {`DELETE FROM outgoing_recipient WHERE outgoing_id = 1`, "outgoing-reference", "2 1/0 eva=1", `1 \Seen letter 1`},
	} {
		t.Run(what, func(t *testing.T) {
			r := newStore(t)
			r.submit(r.submission(1))
			r.submit(r.submission(2))
			must(t, r.Close())
			edit(t, r.indexPath(), c.damage)
			r.open()
			codes := ""
			for _, code := range r.codes() {
				codes += " " + code
			}
			equal(t, "codes", codes[1:], c.codes)
			_, _, left := r.repair()
			equal(t, "left", left, "")
			equal(t, "queue", r.queue(), c.queue)
			r.want(recovered, c.recovered)
		})
	}
}

func (p *powerCut) submitSome() {
	p.next++
	sp, err := p.SpoolAnchored(p.t.Context(), strings.NewReader(letter(p.next)))
	if err != nil {
		return
	}
	id, _, err := p.Submit(p.t.Context(), Submission{Message: sp, Recipients: []string{"eva@example.com"}, MessageID: fmt.Sprint(p.next)})
	if err == nil {
		p.out[id] = p.next
	}
	p.files.Wait() // as the cut may come in what goes on behind it
}

// sendSome hands one message over, and sometimes has an answer.
func (p *powerCut) sendSome() {
	for _, id := range slices.Sorted(maps.Keys(p.out)) {
		if p.handed[id] || p.BeginHandover(p.t.Context(), id, []string{"eva@example.com"}) != nil {
			continue
		}
		p.handed[id] = true
		if rapid.Bool().Draw(p.rt, "answer") {
			_ = p.Attempted(p.t.Context(), id, accepted("eva@example.com")) // may meet the cut
		}
		return
	}
}

// verifyOut holds the Outbox and Sent against what was acknowledged.
func (p *powerCut) verifyOut() {
	list, err := p.Outgoing(p.t.Context())
	must(p.t, err)
	sent := p.lines("Sent") // reads each file
	if n := len(list) + strings.Count(sent, "\n"); n != len(p.out) {
		p.t.Errorf("%d messages in the Outbox and in Sent, %d were acknowledged", n, len(p.out))
	}
	for _, o := range list {
		f, err := p.OpenOutgoing(p.t.Context(), o.ID)
		must(p.t, err)
		data, err := io.ReadAll(f)
		must(p.t, errors.Join(err, f.Close()))
		if string(data) != letter(p.out[o.ID]) {
			p.t.Errorf("message %d is not what was acknowledged", o.ID)
		}
		if want := map[bool]OutgoingState{false: Waiting, true: Unknown}[p.handed[o.ID]]; o.State != want {
			p.t.Errorf("message %d has state %d, want %d", o.ID, o.State, want)
		}
	}
}

func TestADamagedMessageDoesNotLeave(t *testing.T) {
	r := newStore(t)
	missing, damaged := r.submit(r.submission(1)), r.submit(r.submission(2))
	must(t, os.Remove(r.path(hashOf(letter(1)))))
	must(t, os.WriteFile(r.path(hashOf(letter(2))), []byte(strings.Replace(letter(2), "dear", "deaf", 1)), 0o600))
	for _, id := range []OutgoingID{missing, damaged} {
		_, err := r.OpenOutgoing(t.Context(), id)
		wantKind(t, err, fault.Corrupt)
	}
	// What a mail program hands over again brings the file back.
	for n, id := range []OutgoingID{missing, damaged} {
		if got, twin, err := r.Submit(t.Context(), r.submission(n+1)); got != id || !twin {
			t.Errorf("submitted as %d, twin %v: %v", got, twin, err)
		}
		f, err := r.OpenOutgoing(t.Context(), id)
		must(t, err)
		must(t, f.Close())
	}
}
