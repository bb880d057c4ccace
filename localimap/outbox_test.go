package localimap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// submit queues messages as the submission server does; each has its number in the
// subject.
func (r *rig) submit(numbers ...int) (ids []mailstore.OutgoingID) {
	r.t.Helper()
	for _, n := range numbers {
		id := fmt.Sprintf("<m%d@example.com>", n)
		text := fmt.Sprintf("From: joe@example.com\r\nTo: eva@example.com\r\nDate: Tue, 3 Nov 2026 09:00:%02d +0000\r\nMessage-ID: %s\r\nSubject: %d\r\n\r\n%d\r\n", n, id, n, n)
		sp, err := r.store.Spool(r.t.Context(), strings.NewReader(text))
		if err != nil {
			r.t.Fatal(err)
		}
		out, _, err := r.store.Submit(r.t.Context(), mailstore.Submission{Message: sp, Account: "home", From: "joe@example.com", Recipients: []string{"eva@example.com"}, MessageID: id})
		if err != nil {
			r.t.Fatal(err)
		}
		ids = append(ids, out)
	}
	return ids
}

// waiting are the subjects of what is in the Outbox.
func (r *rig) waiting() (subjects []string) {
	r.t.Helper()
	list, err := r.store.Outgoing(r.t.Context())
	if err == nil {
		err = r.store.FillSubjects(r.t.Context(), list)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	for _, o := range list {
		subjects = append(subjects, o.Subject)
	}
	return subjects
}

func (r *rig) handOver(id mailstore.OutgoingID) {
	r.t.Helper()
	if err := r.store.BeginHandover(r.t.Context(), id, []string{"eva@example.com"}); err != nil {
		r.t.Fatal(err)
	}
}

func TestTheOutboxChangesOnlyWithWhatIsOnItsWay(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\nx\r\n")
	r.submit(1)
	k := r.talk("joe")
	k.same(`LIST "" Outbox RETURN (SUBSCRIBED)`, `LIST (\HasNoChildren \Subscribed) / Outbox`)
	k.same("STATUS Outbox (MESSAGES UNSEEN)", "STATUS Outbox (MESSAGES 1 UNSEEN 0)")
	const refused = "NO [NOPERM] The Outbox holds the messages on their way out"
	k.do("x APPEND Outbox {12}", "x "+refused) // before the message is sent
	k.all("DELETE Outbox", refused)
	k.all("RENAME Outbox Other", refused)
	k.all("SELECT INBOX", "OK")
	k.all("COPY 1 Outbox", refused)
	k.all("MOVE 1 Outbox", refused)
	k.do("x REPLACE 1 Outbox {12}", "x "+refused)
	k.all("SELECT Outbox", "OK")
	k.all("MOVE 1 Outbox", refused)
	k.same("FETCH 1 FLAGS", `1 FETCH (FLAGS (\Seen \Recent))`)
	if got := r.waiting(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("waiting %v", got)
	}
}

func TestDeletingInTheOutboxCancels(t *testing.T) {
	r := newRig(t)
	ids := r.submit(1, 2, 3, 4, 5, 6)
	r.handOver(ids[4])
	k := r.talk("joe")
	k.all("SELECT Outbox", "OK")
	const busy = "NO [INUSE] The message is being handed to the mail server at this moment"
	k.all("MOVE 1 Trash", "OK")
	k.all("COPY 1 Drafts", "OK")
	k.all(`STORE 1 +FLAGS.SILENT (\Deleted)`, "OK")
	k.same("UID EXPUNGE 2", "1 EXPUNGE", "4 RECENT")
	k.all("UID MOVE 5 Trash", busy)
	k.all("UID MOVE 4,5 Trash", busy)
	k.all(`UID STORE 3,5 +FLAGS.SILENT (\Deleted)`, "OK")
	if got := k.all("EXPUNGE", busy); !slices.Equal(got, []string{"1 EXPUNGE", "3 RECENT"}) {
		t.Errorf("EXPUNGE: %v", got)
	}
	k.do("x UID REPLACE 5 Drafts {12}", "+")
	k.do("Subject: x\r\n", "x "+busy)
	k.do("x UID REPLACE 4 Drafts {12}", "+")
	k.do("Subject: x\r\n", "x OK")
	k.all("CLOSE", "OK")
	if got := r.waiting(); !slices.Equal(got, []string{"5", "6"}) {
		t.Errorf("waiting %v", got)
	}
	for _, id := range ids[:4] {
		if err := r.store.BeginHandover(t.Context(), id, nil); !fault.Is(err, fault.NotFound) {
			t.Errorf("message %d may leave: %v", id, err)
		}
	}
	k.same("STATUS Trash (MESSAGES)", "STATUS Trash (MESSAGES 1)")
	k.same("STATUS Drafts (MESSAGES)", "STATUS Drafts (MESSAGES 2)")
}

// TestASessionSeesTheOutbox: what was sent goes, and comes into Sent, once.
func TestASessionSeesTheOutbox(t *testing.T) {
	r := newRig(t)
	ids := r.submit(1, 2)
	k, sent := r.talk("joe"), r.talk("joe")
	k.all("SELECT Outbox", "OK")
	sent.all("SELECT Sent", "OK")
	r.handOver(ids[0])
	err := r.store.Attempted(t.Context(), ids[0], mailstore.Attempt{Counts: true,
		Recipients: []mailstore.OutgoingRecipient{{Address: "eva@example.com", State: mailstore.Accepted}}})
	if err != nil {
		t.Fatal(err)
	}
	k.same("NOOP", "1 EXPUNGE", "1 RECENT")
	sent.same("NOOP", "1 EXISTS", "1 RECENT")
	sent.same("FETCH 1 FLAGS", `1 FETCH (FLAGS (\Seen \Recent))`)

	// The program that has sent it saves it.
	const text = "From: joe@example.com\r\nTo: eva@example.com\r\nBcc: bob@example.com\r\nDate: Tue, 3 Nov 2026 09:00:01 +0000\r\nMessage-ID: <m1@example.com>\r\nSubject: 1\r\n\r\n1\r\n"
	k.do(fmt.Sprintf(`x APPEND Sent (\Seen) {%d}`, len(text)), "+")
	k.do(text, "x OK [APPENDUID")
	sent.same("NOOP", "1 EXPUNGE", "1 EXISTS", "1 RECENT")
	sent.same("UID SEARCH BCC bob", "SEARCH 2")
}
