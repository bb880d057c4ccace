package mailstore

import (
	"slices"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

func TestAnOutboxOfThePerson(t *testing.T) {
	r := newStore(t)
	r.create("Outbox", "Outbox 2")
	r.append("Outbox", 1)
	r.submit(r.submission(1))
	r.want("Outbox", "1  number 1")
	r.want("Outbox 2", `1 \Seen letter 1`)
	if r.box("Outbox").Outbox || !r.box("Outbox 2").Outbox {
		t.Error("which is the Outbox?")
	}
}

// A mailbox into which mail may come is not taken, nor is the one of a special use.
func TestWhichMailboxBecomesTheOutbox(t *testing.T) {
	r := newStore(t)
	r.create("Outbox", "Outbox 2", "Outbox 3")
	r.append("Outbox", 1)
	r.expunge("Outbox", 1)
	must(t, r.RenameMailbox(t.Context(), "Outbox 2", "Other"))
	_, err := r.CreateMailbox(t.Context(), "Outbox 2", `\Flagged`)
	must(t, err)
	r.submit(r.submission(1))
	r.want("Outbox 3", `1 \Seen letter 1`)
}

func TestTheOutboxOfAnAccountWithAnotherName(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1))
	r.submit(r.submission(1))
	r.send(r.submission(2))
	must(t, r.SetSendingMemory(t.Context(), "home", "first"))
	must(t, r.SetSendingMemory(t.Context(), "home", "all is well"))
	must(t, r.SetSendingMemory(t.Context(), "private", "of an account that is gone"))
	must(t, r.RenameAccounts(t.Context(), map[string]string{"home": "private"}))
	for account, want := range map[string]string{"home": "", "private": "all is well"} {
		memory, err := r.SendingMemory(t.Context(), account)
		must(t, err)
		equal(t, "remembered of "+account, memory, want)
	}
	list, err := r.Outgoing(t.Context())
	must(t, err)
	equal(t, "account", list[0].Account, "private")
	if done := r.comes("private", "B", listed(2)); !done.Duplicate {
		t.Errorf("%+v", done)
	}
	r.lose(removeIndex)
	list, err = r.Outgoing(t.Context())
	must(t, err)
	equal(t, "account", list[0].Account, "private")
}

func TestOnlySubmitAddsToTheOutbox(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	r.submit(r.submission(1))
	outbox, inbox := r.id("Outbox"), r.id("INBOX")
	_, err := r.Copy(t.Context(), inbox, []UID{1}, outbox)
	wantKind(t, err, fault.Denied)
	_, err = r.Move(t.Context(), inbox, []UID{1}, outbox)
	wantKind(t, err, fault.Denied)
	_, err = r.Move(t.Context(), outbox, []UID{1}, outbox)
	wantKind(t, err, fault.Denied)
	_, err = r.Deliver(t.Context(), []Delivery{{Mailbox: outbox, Message: r.spool(text(2))}})
	wantKind(t, err, fault.Denied)
	wantKind(t, r.DeleteMailbox(t.Context(), "Outbox"), fault.Denied)
	wantKind(t, r.RenameMailbox(t.Context(), "Outbox", "Other"), fault.Denied)
	_, err = r.CreateMailbox(t.Context(), "Outbox/Below", "")
	wantKind(t, err, fault.Denied)
	wantKind(t, r.RenameMailbox(t.Context(), "Sent", "Outbox/Sent"), fault.Denied)
	equal(t, "queue", r.queue(), "1 1/0 eva=1")
	r.want("Outbox", `1 \Seen letter 1`)
}

func TestDeletingInTheOutboxCancels(t *testing.T) {
	r := newStore(t)
	var ids []OutgoingID
	for n := 1; n <= 5; n++ {
		ids = append(ids, r.submit(r.submission(n)))
	}
	r.handover(ids[4])
	outbox := r.id("Outbox")
	_, err := r.Copy(t.Context(), outbox, []UID{4}, r.id("Drafts"))
	must(t, err)
	_, err = r.Move(t.Context(), outbox, []UID{1}, r.id("Trash"))
	must(t, err)
	_, err = r.Move(t.Context(), outbox, []UID{2, 5}, r.id("Trash"))
	wantKind(t, err, fault.Conflict)
	r.deliver(Delivery{Mailbox: r.id("Drafts"), Message: r.spool(text(9)), Replaces: &Place{outbox, 2}})
	_, err = r.SetFlags(t.Context(), outbox, []UID{3, 5}, mailflags.Add, []string{`\Deleted`})
	must(t, err)
	gone, err := r.Expunge(t.Context(), outbox, nil)
	wantKind(t, err, fault.Conflict)
	if !slices.Equal(gone, []UID{3}) {
		t.Errorf("expunged %v", gone)
	}
	equal(t, "queue", r.queue(), "4 1/0 eva=1; 5 2/0 eva=4")
	r.want("Trash", `1 \Seen letter 1`)
	equal(t, "expunged", r.gone(), "Outbox: letter 3, Outbox: letter 2")
	wantKind(t, r.BeginHandover(t.Context(), ids[0], nil), fault.NotFound)
	// What comes back is a draft.
	list, err := r.Expunged(t.Context(), ExpungedQuery{})
	must(t, err)
	back, err := r.Undelete(t.Context(), []int64{list[0].ID})
	if err != nil || len(back) != 1 || back[0].Mailbox != "Drafts" {
		t.Errorf("came back as %+v, %v", back, err)
	}
	r.attempted(ids[4], accepted("eva@example.com"))
	r.want("Sent", `1 \Seen letter 5`)
	equal(t, "queue", r.queue(), "4 1/0 eva=1")
}
