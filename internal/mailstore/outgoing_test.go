package mailstore

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// letter is the n-th message that is sent.
func letter(n int) string {
	return fmt.Sprintf("From: Ann <ann@example.com>\r\nTo: eva@example.com\r\nBcc: secret@example.com\r\nDate: Tue, 3 Nov 2026 09:00:%02d +0000\r\nMessage-ID: <l%d@example.com>\r\nSubject: letter %d\r\n\r\ndear %d\r\n", n, n, n, n)
}

// submission is that of letter n.
func (r *rig) submission(n int, to ...string) Submission {
	if len(to) == 0 {
		to = []string{"eva@example.com"}
	}
	return Submission{Message: r.spool(letter(n)), Account: "home", Device: "laptop", From: "ann@example.com", Recipients: to,
		MessageID: fmt.Sprintf("<l%d@example.com>", n)}
}

func (r *rig) submit(sub Submission) OutgoingID {
	r.t.Helper()
	id, twin, err := r.Submit(r.t.Context(), sub)
	if err != nil || twin {
		r.t.Fatalf("submitted as %d, twin %v: %v", id, twin, err)
	}
	return id
}

// queue writes the Outbox as text: number, state, attempts, recipients and their states,
// what was said last.
func (r *rig) queue() string {
	r.t.Helper()
	list, err := r.Outgoing(r.t.Context())
	must(r.t, err)
	must(r.t, r.FillSubjects(r.t.Context(), list))
	var lines []string
	for _, o := range list {
		to := ""
		for _, rcpt := range o.Recipients {
			to += fmt.Sprintf(" %s=%d", strings.TrimSuffix(rcpt.Address, "@example.com"), rcpt.State)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %d/%d%s %s", strings.TrimPrefix(o.Subject, "letter "), o.State, o.Attempts, to, o.LastError)))
	}
	return strings.Join(lines, "; ")
}

// handover hands a message over to some recipients, or to all that wait for it.
func (r *rig) handover(id OutgoingID, to ...string) {
	r.t.Helper()
	if len(to) == 0 {
		to = r.pending(id)
	}
	must(r.t, r.BeginHandover(r.t.Context(), id, to))
}

// pending returns the recipients that wait for a message.
func (r *rig) pending(id OutgoingID) (to []string) {
	r.t.Helper()
	list, err := r.Outgoing(r.t.Context())
	must(r.t, err)
	for _, o := range list {
		for _, rcpt := range o.Recipients {
			if o.ID == id && rcpt.State == Pending {
				to = append(to, rcpt.Address)
			}
		}
	}
	return to
}

func (r *rig) attempted(id OutgoingID, a Attempt) {
	r.t.Helper()
	must(r.t, r.Attempted(r.t.Context(), id, a))
}

// accepted is an attempt in which recipients were accepted.
func accepted(to ...string) Attempt {
	a := Attempt{Counts: true}
	for _, address := range to {
		a.Recipients = append(a.Recipients, OutgoingRecipient{address, Accepted, "250 2.0.0 Ok"})
	}
	return a
}

func TestAMessageIsSent(t *testing.T) {
	r := newStore(t)
	changes := r.OutgoingChanges()
	id := r.submit(r.submission(1))
	select {
	case <-changes:
	default:
		t.Error("no change told")
	}
	list, err := r.Outgoing(t.Context())
	must(t, err)
	must(t, r.FillSubjects(t.Context(), list))
	size := int64(len(letter(1)))
	want := Outgoing{ID: id, UID: 1, Account: "home", Device: "laptop", From: "ann@example.com", MessageID: "<l1@example.com>", Subject: "letter 1", content: list[0].content,
		Size: size, QueuedAt: start.Local(), NotBefore: start.Local(), State: Waiting, Recipients: []OutgoingRecipient{{"eva@example.com", Pending, ""}}}
	equal(t, "queued", fmt.Sprintf("%+v", list), fmt.Sprintf("%+v", []Outgoing{want}))
	m := r.box("Outbox")
	if !m.Outbox || !m.Subscribed || m.Messages != 1 || m.Unseen != 0 {
		t.Errorf("Outbox %+v", m)
	}
	f, err := r.OpenOutgoing(t.Context(), id)
	must(t, err)
	data, err := io.ReadAll(f)
	must(t, err)
	must(t, f.Close())
	equal(t, "bytes", string(data), letter(1))

	r.handover(id)
	equal(t, "handing", r.queue(), "1 2/0 eva=4")
	r.clock.t = start.Add(time.Minute)
	r.attempted(id, accepted("eva@example.com"))
	equal(t, "queue", r.queue(), "")
	r.want("Outbox", "")
	r.want("Sent", `1 \Seen letter 1`)
	p := r.view("Sent").Snapshot()
	if p.Received[0] != r.clock.t.Unix() {
		t.Errorf("received %d", p.Received[0])
	}
	if list, err := r.Expunged(t.Context(), ExpungedQuery{}); err != nil || len(list) > 0 {
		t.Errorf("expunged %+v, %v", list, err)
	}
	_, err = r.OpenOutgoing(t.Context(), id)
	wantKind(t, err, fault.NotFound)
	wantKind(t, r.BeginHandover(t.Context(), id, nil), fault.NotFound)
}

func TestRecipientsAreTriedEachForItself(t *testing.T) {
	r := newStore(t)
	a, b, c := "a@example.com", "b@example.com", "c@example.com"
	id := r.submit(r.submission(1, c, a, b))
	r.handover(id)
	first := accepted(a)
	first.Recipients = append(first.Recipients, OutgoingRecipient{b, Refused, "550 5.1.1 No such user"})
	first.Next, first.Error = start.Add(time.Minute), "450 greylisted"
	r.attempted(id, first)
	equal(t, "queue", r.queue(), "1 1/1 c=1 a=2 b=3 450 greylisted")
	r.want("Sent", `1 \Seen letter 1`)
	list, err := r.Outgoing(t.Context())
	must(t, err)
	if !list[0].NotBefore.Equal(start.Add(time.Minute)) || !list[0].FirstTry.Equal(start) {
		t.Errorf("%+v", list[0])
	}
	r.attempted(id, Attempt{Next: start.Add(2 * time.Minute), Error: "offline"})
	equal(t, "an attempt that does not count", r.queue(), "1 1/1 c=1 a=2 b=3 offline")
	r.handover(id)
	r.attempted(id, Attempt{Recipients: []OutgoingRecipient{{a, Refused, "never"}, {c, Accepted, ""}}, Counts: true})
	equal(t, "rejected", r.queue(), "1 5/2 c=2 a=2 b=3")
	r.want("Sent", `1 \Seen letter 1`)
	wantKind(t, r.BeginHandover(t.Context(), id, nil), fault.Conflict)
	must(t, r.RetryOutgoing(t.Context(), id))
	equal(t, "once more", r.queue(), "1 1/0 c=2 a=2 b=1")
	must(t, r.DropOutgoing(t.Context(), id))
	equal(t, "dismissed", r.queue(), "")
	equal(t, "expunged", r.gone(), "Outbox: letter 1")
	r.want("Sent", `1 \Seen letter 1`)
}

// TestAfterTheClockWasSetBack: times of then put nothing off, and do not count.
func TestAfterTheClockWasSetBack(t *testing.T) {
	r := newStore(t)
	id := r.submit(r.submission(1))
	r.attempted(id, Attempt{Counts: true, Next: start.Add(30 * time.Minute), Error: "450 later"})
	r.clock.t = start.Add(-72 * time.Hour)
	for n := range 2 {
		next := r.clock.t.Add(time.Duration(n+1) * time.Minute)
		r.attempted(id, Attempt{Counts: true, Next: next, Error: "450 later"})
		list, err := r.Outgoing(t.Context())
		must(t, err)
		if o := list[0]; !o.NotBefore.Equal(next) || !o.FirstTry.Equal(r.clock.t) {
			t.Errorf("tried first at %v, next at %v", o.FirstTry, o.NotBefore)
		}
	}
	r.attempted(id, Attempt{Unknown: true})
	list, err := r.Outgoing(t.Context())
	must(t, err)
	if want := r.clock.t.Add(2 * time.Minute); !list[0].NotBefore.Equal(want) {
		t.Errorf("without a time for the next attempt: %v", list[0].NotBefore)
	}
}

// gone lists what was expunged.
func (r *rig) gone() string {
	r.t.Helper()
	list, err := r.Expunged(r.t.Context(), ExpungedQuery{})
	must(r.t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Mailbox+": "+e.Subject)
	}
	return strings.Join(out, ", ")
}

func TestWhatWasHandedOverIsDecidedByAPerson(t *testing.T) {
	r := newStore(t)
	var ids []OutgoingID
	for n := 1; n <= 3; n++ {
		id := r.submit(r.submission(n))
		ids = append(ids, id)
		r.handover(id)
		wantKind(t, r.DropOutgoing(t.Context(), id), fault.Conflict)
		wantKind(t, r.HoldOutgoing(t.Context(), id, true), fault.Conflict)
		wantKind(t, r.RetryOutgoing(t.Context(), id), fault.Conflict)
		wantKind(t, r.BeginHandover(t.Context(), id, nil), fault.Conflict)
		wantKind(t, r.ConfirmOutgoing(t.Context(), id), fault.Conflict)
		r.attempted(id, Attempt{Counts: true, Unknown: true, Error: "cut"})
		wantKind(t, r.BeginHandover(t.Context(), id, nil), fault.Conflict)
	}
	equal(t, "unknown", r.queue(), "1 3/1 eva=4 cut; 2 3/1 eva=4 cut; 3 3/1 eva=4 cut")
	must(t, r.ConfirmOutgoing(t.Context(), ids[0]))
	must(t, r.RetryOutgoing(t.Context(), ids[1]))
	must(t, r.DropOutgoing(t.Context(), ids[2]))
	equal(t, "decided", r.queue(), "2 1/0 eva=1 cut")
	r.want("Sent", `1 \Seen letter 1`)
	equal(t, "expunged", r.gone(), "Outbox: letter 3")
	r.handover(ids[1])
}

func TestAMessageThatEndsWithTheProgram(t *testing.T) {
	r := newStore(t)
	for n := 1; n <= 2; n++ {
		r.handover(r.submit(r.submission(n)))
	}
	r.submit(r.submission(3))
	r.reopen()
	const why = "popbridge ended while the message was handed over: it may have been sent"
	equal(t, "queue", r.queue(), "1 3/0 eva=4 "+why+"; 2 3/0 eva=4 "+why+"; 3 1/0 eva=1")
}

// TestAHandoverThatNobodyEnds: where the account was removed while the store failed, a
// person decides without a restart. What is known after all is written down.
func TestAHandoverThatNobodyEnds(t *testing.T) {
	r := newStore(t)
	ids := []OutgoingID{r.submit(r.submission(1)), r.submit(r.submission(2))}
	r.clock.t = start.Add(time.Hour)
	for _, id := range ids {
		r.handover(id)
	}
	r.clock.t = r.clock.t.Add(handingFor - time.Second)
	must(t, r.Purge(t.Context()))
	equal(t, "in time", r.queue(), "1 2/0 eva=4; 2 2/0 eva=4")
	r.clock.t = r.clock.t.Add(time.Second)
	must(t, r.Purge(t.Context()))
	const why = " what came of the message could not be written down: it may have been sent"
	equal(t, "given up", r.queue(), "1 3/0 eva=4"+why+"; 2 3/0 eva=4"+why)
	must(t, r.DropOutgoing(t.Context(), ids[0]))
	r.attempted(ids[1], accepted("eva@example.com"))
	equal(t, "queue", r.queue(), "")
	r.want("Sent", `1 \Seen letter 2`)
}

func TestAMessageIsHeld(t *testing.T) {
	r := newStore(t)
	id := r.submit(r.submission(1))
	must(t, r.HoldOutgoing(t.Context(), id, true))
	wantKind(t, r.BeginHandover(t.Context(), id, nil), fault.Conflict)
	r.attempted(id, Attempt{Next: start.Add(time.Hour), Error: "offline"})
	equal(t, "held", r.queue(), "1 4/0 eva=1 offline")
	must(t, r.HoldOutgoing(t.Context(), id, false))
	equal(t, "waits", r.queue(), "1 1/0 eva=1 offline")

	// Programs that mark what is deleted expect that it does not leave.
	_, err := r.SetFlags(t.Context(), r.id("Outbox"), []UID{1}, mailflags.Add, []string{`\Deleted`})
	must(t, err)
	equal(t, "marked", r.queue(), "1 4/0 eva=1 offline")
	wantKind(t, r.BeginHandover(t.Context(), id, nil), fault.Conflict)
	must(t, r.RetryOutgoing(t.Context(), id))
	r.want("Outbox", `1 \Seen letter 1`)
	r.handover(id)
}

func TestTheOutboxIsBounded(t *testing.T) {
	r := newStore(t)
	r.submit(r.submission(1))
	for _, full := range []Mailbox{{Messages: maxOutgoing}, {Size: maxOutgoingBytes - 1}} {
		sub := r.submission(2)
		err := r.write(t.Context(), "fill the Outbox", func(t *tx) error {
			b, err := t.outbox()
			must(r.t, err)
			b.Messages, b.Size = full.Messages, full.Size
			_, err = t.submit(&sub, marks{})
			return err
		})
		wantKind(t, err, fault.Full)
		sub.Message.Discard()
	}
	equal(t, "queue", r.queue(), "1 1/0 eva=1")
}

// mark adds a flag to a message.
func (r *rig) mark(mailbox string, uid UID, flag string) {
	r.t.Helper()
	_, err := r.SetFlags(r.t.Context(), r.id(mailbox), []UID{uid}, mailflags.Add, []string{flag})
	must(r.t, err)
}

// TestWhatIsAskedOfADelivery is kept over a restart and a loss of the index, and goes with the
// message.
func TestWhatIsAskedOfADelivery(t *testing.T) {
	r := newStore(t)
	r.submit(r.submission(1))
	sub := r.submission(2, "eva@example.com", "bob@example.com")
	sub.DSN = map[string]string{"": "RET=HDRS ENVID=1", "bob@example.com": "NOTIFY=NEVER"}
	id := r.submit(sub)
	want := func(when string) {
		t.Helper()
		list, err := r.Outgoing(t.Context())
		must(t, err)
		if len(list) != 2 || list[0].DSN != nil || !maps.Equal(list[1].DSN, sub.DSN) {
			t.Errorf("%s: %v", when, list)
		}
	}
	want("submitted")
	r.reopen()
	want("after a restart")
	r.lose(removeIndex)
	want("rebuilt")
	must(t, r.DropOutgoing(t.Context(), id))
	var left int
	must(t, r.reader.get(t.Context(), `SELECT count(*) FROM outgoing_dsn`, nil, &left))
	if left != 0 {
		t.Errorf("%d rows are left", left)
	}
}
