package mailstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

// expunge removes the given messages from a mailbox.
func (r *rig) expunge(mailbox string, uids ...UID) {
	r.t.Helper()
	_, err := r.SetFlags(r.t.Context(), r.id(mailbox), uids, mailflags.Add, []string{`\Deleted`})
	must(r.t, err)
	_, err = r.Expunge(r.t.Context(), r.id(mailbox), uids)
	must(r.t, err)
}

// bin writes the expunged messages as text, one per line.
func (r *rig) bin(q ExpungedQuery) string {
	r.t.Helper()
	all, err := r.Expunged(r.t.Context(), q)
	must(r.t, err)
	var lines []string
	for _, e := range all {
		lines = append(lines, fmt.Sprintf("%s %d %s", e.Mailbox, e.UID, e.Subject))
	}
	return strings.Join(lines, "\n")
}

// undelete restores all that q finds, and writes where it went.
func (r *rig) undelete(q ExpungedQuery) string {
	r.t.Helper()
	all, err := r.Expunged(r.t.Context(), q)
	must(r.t, err)
	ids := []int64{4711}
	for _, e := range all {
		ids = append(ids, e.ID)
	}
	done, err := r.Undelete(r.t.Context(), ids)
	must(r.t, err)
	var lines []string
	for _, d := range done {
		lines = append(lines, fmt.Sprintf("%s %d", d.Mailbox, d.UID))
	}
	return strings.Join(lines, "\n")
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func TestExpungedMailComesBackAsItWas(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1, `\Seen`, "work")
	r.append("INBOX", 2, `\Flagged`)
	r.append("INBOX", 3)
	v := r.view("INBOX")
	r.expunge("INBOX", 1, 2)
	equal(t, "expunged", r.bin(ExpungedQuery{}), "INBOX 2 number 2\nINBOX 1 number 1")
	<-v.Changed()
	equal(t, "restored", r.undelete(ExpungedQuery{}), "INBOX 4\nINBOX 5")
	if !marked(v.Changed()) {
		t.Error("nothing was published")
	}
	r.fresh(v)
	r.want("INBOX", "3  number 3\n4 \\Seen work number 1\n5 \\Flagged number 2")
	equal(t, "left", r.bin(ExpungedQuery{}), "")
	p := v.Snapshot()
	if p.Received[1] != start.Add(time.Second).Unix() {
		t.Error("the date is another")
	}
	equal(t, "nothing twice", r.undelete(ExpungedQuery{}), "")
}

func TestExpungedQueries(t *testing.T) {
	r := newStore(t)
	r.create("Work")
	for n := 1; n <= 12; n++ {
		r.append("INBOX", n)
	}
	r.append("Work", 1)
	r.expunge("Work", 1)
	r.expunge("INBOX", 1, 2, 3, 11, 12)
	must(t, r.RenameMailbox(t.Context(), "Work", "Home"))
	for _, c := range []struct {
		q    ExpungedQuery
		want string
	}{
		{ExpungedQuery{Mailbox: "home/"}, ""},
		{ExpungedQuery{Mailbox: "Home"}, "Home 1 number 1"},
		{ExpungedQuery{Mailbox: "Work"}, ""},
		{ExpungedQuery{Mailbox: "\x00"}, ""},
		{ExpungedQuery{Match: "NUMBER 1"}, "INBOX 12 number 12\nINBOX 11 number 11\nINBOX 1 number 1\nHome 1 number 1"},
		{ExpungedQuery{Match: "a@EXAMPLE", Limit: 2}, "INBOX 12 number 12\nINBOX 11 number 11"},
		{ExpungedQuery{Match: "nobody"}, ""},
		{ExpungedQuery{Mailbox: "inbox", Limit: 1}, "INBOX 12 number 12"},
	} {
		equal(t, fmt.Sprintf("%+v", c.q), r.bin(c.q), c.want)
	}
}

func TestAMoveIsNoExpunge(t *testing.T) {
	r := newStore(t)
	r.fill("INBOX", 2)
	_, err := r.Move(t.Context(), r.id("INBOX"), []UID{1}, r.id("Trash"))
	must(t, err)
	must(t, r.RenameMailbox(t.Context(), "INBOX", "old"))
	equal(t, "expunged", r.bin(ExpungedQuery{}), "")
}

func TestADeletedMailboxComesBackWithItsMail(t *testing.T) {
	r := newStore(t)
	r.create("a/b")
	r.append("a/b", 1)
	r.append("a/b", 2, `\Deleted`)
	old := r.box("a/b")
	must(t, r.DeleteMailbox(t.Context(), "a/b"))
	must(t, r.DeleteMailbox(t.Context(), "a"))
	equal(t, "expunged", r.bin(ExpungedQuery{Mailbox: "a/b"}), "a/b 2 number 2\na/b 1 number 1")
	equal(t, "restored", r.undelete(ExpungedQuery{}), "a/b 1\na/b 2")
	r.want("a/b", "1  number 1\n2  number 2")
	if b := r.box("a/b"); b.ID == old.ID || b.UIDValidity <= old.UIDValidity || !b.Subscribed {
		t.Errorf("mailbox %+v after %+v", b, old)
	}
}

// What is discarded is neither in its mailbox nor among the expunged; what was there
// besides stays, and the store is sound.
func TestDiscardedMailIsGone(t *testing.T) {
	r := newStore(t)
	r.append("INBOX", 1)
	r.append("INBOX", 2)
	r.append("Sent", 2) // the same message
	must(t, r.Discard(t.Context(), r.id("INBOX"), []UID{2, 9}))
	if b := r.box("INBOX"); b.Messages != 1 {
		t.Errorf("INBOX has %d messages", b.Messages)
	}
	equal(t, "expunged", r.bin(ExpungedQuery{}), "")
	r.clock.t = start.Add(2 * keepOrphans)
	must(t, r.Purge(t.Context()))
	if b := r.box("Sent"); b.Messages != 1 {
		t.Errorf("Sent has %d messages", b.Messages)
	}
	problems, err := r.Check(t.Context(), nil)
	if err != nil || len(problems) != 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestExpungedMailIsKeptAsLongAsAsked(t *testing.T) {
	for _, c := range []struct{ keep, kept, over time.Duration }{
		{0, 30*24*time.Hour - time.Minute, 30*24*time.Hour + time.Minute},
		{time.Hour, 23 * time.Hour, 25 * time.Hour},
		{72 * time.Hour, 71 * time.Hour, 73 * time.Hour},
	} {
		t.Run(c.keep.String(), func(t *testing.T) {
			r := newStore(t)
			must(t, r.Close())
			r.keep = c.keep
			r.open()
			r.append("INBOX", 1)
			r.append("INBOX", 2)
			r.append("Sent", 2)
			r.expunge("INBOX", 1, 2)
			r.clock.t = start.Add(c.kept)
			must(t, r.Purge(t.Context()))
			if r.bin(ExpungedQuery{}) == "" || string(r.read(hashOf(text(1)))) != text(1) {
				t.Error("purged too early")
			}
			r.clean()
			r.clock.t = start.Add(c.over)
			must(t, r.Purge(t.Context()))
			equal(t, "expunged", r.bin(ExpungedQuery{}), "")
			_, err := r.OpenContent(hashOf(text(1)))
			wantKind(t, err, fault.Corrupt)
			r.want("Sent", "1  number 2")
		})
	}
}

// removed writes the ledger as text: which origins are removed, since when.
func (r *rig) removed(account string) string {
	r.t.Helper()
	all, err := r.Ledger(r.t.Context(), account)
	must(r.t, err)
	var out []string
	for _, e := range all {
		line := e.UIDL
		if !e.RemovedAt.IsZero() {
			line += "-" + e.RemovedAt.Sub(start).String()
		}
		if e.Wanted {
			line += " wanted"
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

func TestTheLedgerKnowsWhenTheLastCopyWent(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
	_, err := r.Copy(t.Context(), r.id("INBOX"), []UID{1}, r.id("Archive"))
	must(t, err)
	r.clock.t = start.Add(time.Hour)
	r.expunge("INBOX", 1, 2)
	equal(t, "one copy is left", r.removed("home"), "A, B-1h0m0s")
	r.clock.t = start.Add(2 * time.Hour)
	must(t, r.DeleteMailbox(t.Context(), "Archive"))
	equal(t, "none is left", r.removed("home"), "A-2h0m0s, B-1h0m0s")
	r.undelete(ExpungedQuery{Mailbox: "Archive"})
	equal(t, "undeleted", r.removed("home"), "A, B-1h0m0s")
	r.append("Sent", 2)
	equal(t, "put back by a client", r.removed("home"), "A, B")
	r.expunge("Sent", 1)
	equal(t, "removed again", r.removed("home"), "A, B-2h0m0s")

	r.clock.t = start.Add(60 * 24 * time.Hour)
	must(t, r.Purge(t.Context()))
	equal(t, "purged", r.removed("home"), "A, B-2h0m0s")
	if out := r.deliver(r.from("home", "B", 2)); !out[0].Duplicate {
		t.Error("what was removed came back")
	}
	r.clean()
	r.append("INBOX", 2)
	equal(t, "another message with these bytes", r.removed("home"), "A, B")
}

func TestWhatWasLostComesAgain(t *testing.T) {
	r := newStore(t)
	r.deliver(r.from("home", "A", 1), r.from("home", "B", 2))
	// An index in which a content is missing that no one removed.
	r.sql(`DELETE FROM message WHERE uid = 1`)
	r.sql(`UPDATE mailbox SET messages = 1, unseen = 1, recent = 1, size = (SELECT max(size) FROM message) WHERE name = 'INBOX'`)
	r.sql(`DELETE FROM content WHERE hash = ?`, slices.Clone(hash1[:]))
	equal(t, "ledger", r.removed("home"), "A wanted, B")
	if out := r.deliver(r.from("home", "A", 1)); out[0].Duplicate || out[0].UID != 3 {
		t.Errorf("delivered %+v", out)
	}
	equal(t, "ledger", r.removed("home"), "A, B")
}

var hash1 = hashOf(text(1))
