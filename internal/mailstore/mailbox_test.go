package mailstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
)

func (r *rig) names() string {
	r.t.Helper()
	all, err := r.Mailboxes(r.t.Context())
	must(r.t, err)
	var out []string
	for _, m := range all {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func (r *rig) create(names ...string) {
	r.t.Helper()
	for _, n := range names {
		_, err := r.CreateMailbox(r.t.Context(), n, "")
		must(r.t, err)
	}
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("error %v is of kind %v, want %v", err, fault.KindOf(err), kind)
	}
}

func TestANewStoreHasItsMailboxes(t *testing.T) {
	r := newStore(t)
	for range 2 {
		all, err := r.Mailboxes(t.Context())
		must(t, err)
		var got []string
		for _, m := range all {
			got = append(got, m.Name+m.SpecialUse)
			if !m.Subscribed || m.UIDNext != 1 || m.HighestModSeq != 1 || m.Messages+m.Unseen+m.Recent != 0 {
				t.Errorf("new mailbox %+v", m)
			}
		}
		want := []string{`Archive\Archive`, `Drafts\Drafts`, "INBOX", `Junk\Junk`, `Sent\Sent`, `Trash\Trash`}
		if !slices.Equal(got, want) {
			t.Errorf("mailboxes %q", got)
		}
		r.reopen()
	}
	// They are made once: one that was deleted does not come back.
	must(t, r.DeleteMailbox(t.Context(), "Junk"))
	r.reopen()
	if got := r.names(); got != "Archive Drafts INBOX Sent Trash" {
		t.Error(got)
	}
}

func TestMailboxNames(t *testing.T) {
	r := newStore(t)
	for _, c := range []struct{ in, want string }{
		{"inbox", "INBOX"},
		{"InBox/Child", "INBOX/Child"},
		{"inboxes", "inboxes"},
		{"with/trailing/", "with/trailing"},
		{"Bu\u0308cher", "B\u00fccher"},
		{"a&b %*", "a&b %*"},
	} {
		m, err := r.EnsureMailbox(t.Context(), c.in)
		must(t, err)
		if m.Name != c.want {
			t.Errorf("%q became %q, want %q", c.in, m.Name, c.want)
		}
		if again := r.box(c.in); again.ID != m.ID {
			t.Errorf("%q is not found again", c.in)
		}
	}
	for _, bad := range []string{"", "/", "a//b", "/a", "a\x00b", "a\nb", "\xff", "\u0085", strings.Repeat("x", 1001)} {
		_, err := r.CreateMailbox(t.Context(), bad, "")
		wantKind(t, err, fault.Config)
		_, err = r.Mailbox(t.Context(), bad)
		wantKind(t, err, fault.NotFound)
		wantKind(t, r.Subscribe(t.Context(), bad, true), fault.Config)
		wantKind(t, r.RenameMailbox(t.Context(), "Junk", bad), fault.Config)
		wantKind(t, r.RenameMailbox(t.Context(), bad, "x"), fault.NotFound)
		wantKind(t, r.DeleteMailbox(t.Context(), bad), fault.NotFound)
	}
}

func TestCreateMailbox(t *testing.T) {
	r := newStore(t)
	must(t, r.DeleteMailbox(t.Context(), "Archive"))
	m, err := r.CreateMailbox(t.Context(), "a/b/c", `\Archive`)
	must(t, err)
	if m.SpecialUse != `\Archive` || m.Subscribed {
		t.Errorf("created %+v", m)
	}
	if got := r.names(); got != "Drafts INBOX Junk Sent Trash a a/b a/b/c" {
		t.Error(got)
	}
	if r.box("a/b").SpecialUse != "" {
		t.Error("the parent has the special use")
	}
	for _, taken := range []string{"a", "a/b/c", "inbox", "Sent/"} {
		_, err := r.CreateMailbox(t.Context(), taken, "")
		wantKind(t, err, fault.Conflict)
	}
	_, err = r.CreateMailbox(t.Context(), "x", `\Inbox`)
	wantKind(t, err, fault.Config)
	same, err := r.EnsureMailbox(t.Context(), "a/b")
	must(t, err)
	if same.ID != r.id("a/b") || same.Subscribed {
		t.Errorf("ensured %+v", same)
	}
	made, err := r.EnsureMailbox(t.Context(), "made")
	must(t, err)
	if !made.Subscribed || !r.box("made").Subscribed {
		t.Error("a mailbox made for mail is not subscribed")
	}
}

func TestUIDValidityIsUniqueAndRises(t *testing.T) {
	r := newStore(t)
	seen := map[uint32]string{}
	last := uint32(0)
	for i := range 20 {
		name := fmt.Sprint("again", i%2)
		m, err := r.CreateMailbox(t.Context(), name, "")
		must(t, err)
		if m.UIDValidity <= last || seen[m.UIDValidity] != "" {
			t.Fatalf("%s has UIDVALIDITY %d after %d", name, m.UIDValidity, last)
		}
		seen[m.UIDValidity], last = name, m.UIDValidity
		must(t, r.DeleteMailbox(t.Context(), name))
		if i == 10 { // the clock goes back
			r.clock.t = start.AddDate(-1, 0, 0)
			r.reopen()
		}
	}
	r.clock.t = start.AddDate(1, 0, 0)
	r.create("later")
	if got := int64(r.box("later").UIDValidity); got != r.clock.t.Unix() {
		t.Errorf("UIDVALIDITY %d does not follow the clock", got)
	}
}

func TestDeleteMailbox(t *testing.T) {
	r := newStore(t)
	r.create("a/b")
	r.append("a/b", 1)
	wantKind(t, r.DeleteMailbox(t.Context(), "inbox"), fault.Conflict)
	wantKind(t, r.DeleteMailbox(t.Context(), "a"), fault.Conflict)
	wantKind(t, r.DeleteMailbox(t.Context(), "none"), fault.NotFound)
	id := r.id("a/b")
	v := r.view("a/b")
	must(t, r.DeleteMailbox(t.Context(), "a/b"))
	<-v.Changed()
	if !v.Gone() || len(v.Snapshot().UIDs) != 0 {
		t.Error("the view does not tell that its mailbox is gone")
	}
	_, _, err := v.ClaimRecent(t.Context())
	wantKind(t, err, fault.NotFound)
	_, err = r.OpenView(t.Context(), id)
	wantKind(t, err, fault.NotFound)
	_, err = r.SetFlags(t.Context(), id, []UID{1}, mailflags.Add, []string{`\Seen`})
	wantKind(t, err, fault.NotFound)
	_, err = r.Expunge(t.Context(), id, nil)
	wantKind(t, err, fault.NotFound)
	_, err = r.Copy(t.Context(), r.id("INBOX"), []UID{1}, id)
	wantKind(t, err, fault.NotFound)

	r.create("a/b")
	if r.id("a/b") == id {
		t.Error("the id of a deleted mailbox is used again")
	}
	if w := r.view("a/b"); w.Gone() || len(w.Snapshot().UIDs) != 0 {
		t.Error("the new mailbox of that name looks like the old one")
	}
}

func TestRenameMailbox(t *testing.T) {
	r := newStore(t)
	r.create("a/b/c", "ab", "a0")
	r.append("a/b", 1, `\Seen`)
	must(t, r.Subscribe(t.Context(), "a/b", true))
	before, v := r.box("a/b"), r.view("a/b")
	must(t, r.RenameMailbox(t.Context(), "a", "x/y/a"))
	if got := r.names(); got != "Archive Drafts INBOX Junk Sent Trash a0 ab x x/y x/y/a x/y/a/b x/y/a/b/c" {
		t.Error(got)
	}
	after := r.box("x/y/a/b")
	if before.Name = after.Name; before != after {
		t.Errorf("renamed from %+v to %+v", before, after)
	}
	<-v.Changed()
	if got := v.Snapshot().Mailbox; got != after || v.Gone() {
		t.Errorf("the view shows %+v", got)
	}
	r.want("x/y/a/b", `1 \Seen number 1`)
	subs, err := r.Subscriptions(t.Context())
	must(t, err)
	if !slices.Contains(subs, "a/b") || !slices.Contains(subs, "x/y/a/b") {
		t.Errorf("subscriptions %v", subs)
	}

	wantKind(t, r.RenameMailbox(t.Context(), "none", "x2"), fault.NotFound)
	wantKind(t, r.RenameMailbox(t.Context(), "x", "ab"), fault.Conflict)
	wantKind(t, r.RenameMailbox(t.Context(), "x", "x"), fault.Conflict)
	wantKind(t, r.RenameMailbox(t.Context(), "x", "Inbox"), fault.Conflict)
	wantKind(t, r.RenameMailbox(t.Context(), "x", "x/y/z"), fault.Config)
	wantKind(t, r.RenameMailbox(t.Context(), "x", strings.Repeat("n", 999)), fault.Config)
	must(t, r.RenameMailbox(t.Context(), "x/y/a", "a"))
	if got := r.box("a/b"); !got.Subscribed {
		t.Error("a subscribed name was taken, but the mailbox does not say so")
	}
	r.reopen()
	r.want("a/b", `1 \Seen number 1`)
}

func TestRenameInboxMovesItsMessages(t *testing.T) {
	r := newStore(t)
	r.create("INBOX/child")
	r.append("INBOX", 1)
	r.append("INBOX", 2, `\Flagged`, "word")
	_, err := r.Move(t.Context(), r.id("INBOX"), []UID{1}, r.id("INBOX"))
	must(t, err)
	before := r.box("INBOX")
	in := r.view("INBOX")
	must(t, r.RenameMailbox(t.Context(), "INBOX", "old/mail"))
	r.want("old/mail", "1 \\Flagged word number 2\n2  number 1")
	after := r.box("INBOX")
	if after.ID != before.ID || after.UIDValidity != before.UIDValidity || after.UIDNext != before.UIDNext || after.Messages != 0 {
		t.Errorf("INBOX was %+v, is %+v", before, after)
	}
	if len(in.Snapshot().UIDs) != 0 || in.Gone() {
		t.Error("the view of INBOX is not empty")
	}
	if got := r.names(); got != "Archive Drafts INBOX INBOX/child Junk Sent Trash old old/mail" {
		t.Error(got)
	}
	if uid := r.append("INBOX", 3); uid != 4 {
		t.Errorf("the next uid is %d", uid)
	}
	wantKind(t, r.RenameMailbox(t.Context(), "inbox", "old"), fault.Conflict)
}

func TestSubscriptions(t *testing.T) {
	r := newStore(t)
	ctx := context.Background()
	v := r.view("Junk")
	must(t, r.Subscribe(ctx, "nowhere/yet", true))
	must(t, r.Subscribe(ctx, "nowhere/yet", true))
	must(t, r.Subscribe(ctx, "Junk", false))
	must(t, r.Subscribe(ctx, "Junk", false))
	must(t, r.DeleteMailbox(ctx, "Sent"))
	r.reopen()
	subs, err := r.Subscriptions(ctx)
	must(t, err)
	if got := strings.Join(subs, " "); got != "Archive Drafts INBOX Sent Trash nowhere/yet" {
		t.Error(got)
	}
	if r.box("Junk").Subscribed || v.Snapshot().Mailbox.Subscribed {
		t.Error("Junk is still subscribed")
	}
	r.create("nowhere/yet")
	if !r.box("nowhere/yet").Subscribed || r.box("nowhere").Subscribed {
		t.Error("a subscription does not wait for its mailbox")
	}
}

// A person deletes a folder with a special use, and popbridge needs it: mail programs find it
// by its use again, also where one of them has made it anew without, and after a lost index.
func TestASpecialUseIsGivenBack(t *testing.T) {
	for use, need := range map[string]func(r *rig) error{
		`\Sent`: func(r *rig) error { r.send(r.submission(1)); return nil },
		`\Drafts`: func(r *rig) error {
			must(r.t, r.DropOutgoing(r.t.Context(), r.submit(r.submission(1))))
			r.undelete(ExpungedQuery{Mailbox: "Outbox"})
			return nil
		},
		`\Junk`:    func(r *rig) error { _, err := r.EnsureMailbox(r.t.Context(), "Junk"); return err },
		`\Archive`: func(r *rig) error { r.undelete(ExpungedQuery{Mailbox: "Archive"}); return nil },
		`\Trash`:   func(r *rig) error { r.undelete(ExpungedQuery{Mailbox: "Trash"}); return nil },
	} {
		for what, before := range map[string]func(r *rig, name string){
			"deleted":     func(*rig, string) {},
			"made anew":   func(r *rig, name string) { r.create(name) },
			"used by one": func(r *rig, _ string) { _, err := r.CreateMailbox(r.t.Context(), "Mine", use); must(r.t, err) },
		} {
			t.Run(use[1:]+" "+what, func(t *testing.T) {
				r, name := newStore(t), use[1:]
				r.append(name, 9)
				must(t, r.DeleteMailbox(t.Context(), name))
				before(r, name)
				must(t, need(r))
				for range 2 {
					all, err := r.Mailboxes(t.Context())
					must(t, err)
					var has []string
					for _, m := range all {
						if m.SpecialUse == use {
							has = append(has, m.Name)
						}
					}
					if want := map[bool]string{false: name, true: "Mine"}[what == "used by one"]; len(has) != 1 || has[0] != want {
						t.Errorf("%s: %q, want %s", use, has, want)
					}
					r.lose(removeIndex)
				}
			})
		}
	}
}
