package localimap

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/serving"
)

// tells sends nothing and compares what comes in the next moment.
func (k *talk) tells(want ...string) {
	k.t.Helper()
	var got []string
	for len(got) < len(want) {
		got = append(got, k.line())
		if k.err != nil {
			break
		}
	}
	if !slices.Equal(got, want) {
		k.t.Fatalf("told\n%s\ninstead of\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// silent fails where something comes within a moment.
func (k *talk) silent() {
	k.t.Helper()
	_ = k.conn.SetReadDeadline(time.Now().Add(4 * mergeWithin))
	if line := k.line(); k.err == nil {
		k.t.Fatalf("told %q", line)
	}
	k.err = nil
	_ = k.conn.SetReadDeadline(time.Now().Add(time.Minute))
}

// answers sends a command and compares all that comes up to its answer.
func (k *talk) answers(command string, want ...string) {
	k.t.Helper()
	k.send("n " + command)
	k.tells(want...)
}

// TestNotifySelected: what happens in the selected mailbox is told between commands.
func TestNotifySelected(t *testing.T) {
	r := newRig(t)
	r.fill(3)
	k, other := r.talk("joe"), r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	other.do("a SELECT INBOX", "a OK")
	k.answers("NOTIFY SET (selected (MessageNew (UID FLAGS BODY[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange))", "n OK NOTIFY completed")
	r.deliver("INBOX", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells("* 4 EXISTS", "* 4 RECENT", `* 4 FETCH (UID 4 FLAGS (\Recent) BODY[HEADER.FIELDS (SUBJECT)] {16}`, "Subject: new", "", ")")
	other.do(`b STORE 2 +FLAGS ($Work)`, "b OK")
	k.tells(`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work)`, `* 2 FETCH (UID 2 FLAGS ($Work \Recent))`)
	other.do(`b STORE 1 +FLAGS (\Deleted)`, "b OK")
	k.tells(`* 1 FETCH (UID 1 FLAGS (\Deleted \Recent))`)
	other.do(`b EXPUNGE`, "b OK")
	k.tells("* 1 EXPUNGE", "* 3 RECENT")
	k.answers("FETCH 3 FLAGS", `* 3 FETCH (FLAGS (\Recent))`, "n OK FETCH completed") // it was not read
	// Its own message is told, but not fetched.
	k.send("n APPEND INBOX {15+}\r\nSubject: o\r\n\r\nx")
	k.tells("* 4 EXISTS", "* 4 RECENT")
	k.want("n OK [APPENDUID")
	k.answers("COPY 4 INBOX", "* 5 EXISTS", "* 5 RECENT")
	k.want("n OK [COPYUID")
	k.silent()
}

// TestNotifyDelayed: EXPUNGE waits for a command that may tell it.
func TestNotifyDelayed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill(3)
	k, other := r.talk("joe"), r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	other.do("a SELECT INBOX", "a OK")
	expunge := func(n int) {
		other.do(fmt.Sprintf(`b STORE %d +FLAGS (\Deleted)`, n), "b OK")
		k.want(fmt.Sprintf("* %d FETCH", n))
		other.do(`b EXPUNGE`, "b OK")
	}
	k.answers("NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange))", "n OK NOTIFY completed")
	expunge(3)
	k.silent()
	k.answers("FETCH 1 UID", "* 1 FETCH (UID 1)", "n OK FETCH completed")
	k.silent()
	k.answers("NOOP", "* 3 EXPUNGE", "* 2 RECENT", "n OK NOOP completed")
	expunge(2)
	k.silent()
	k.answers("IDLE", "+ idling", "* 2 EXPUNGE", "* 1 RECENT")
	r.deliver("INBOX", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells("* 2 EXISTS", "* 2 RECENT")
	k.do("DONE", "n OK")
}

// TestNotifyNone: a client that wants to know nothing of the selected mailbox keeps
// what it was told, until it wants to know again (RFC 5465 sections 3.1 and 5).
func TestNotifyNone(t *testing.T) {
	t.Parallel()
	for _, none := range []string{"NONE", "SET (selected NONE)", "SET (personal (MailboxName))"} {
		t.Run(none, func(t *testing.T) {
			r := newRig(t)
			r.fill(3)
			k, other := r.talk("joe"), r.talk("joe")
			k.do("a SELECT INBOX", "a OK")
			other.do("a SELECT INBOX", "a OK")
			k.answers("NOTIFY "+none, "n OK NOTIFY completed")
			r.deliver("INBOX", nil, "Subject: new\r\n\r\nx\r\n")
			other.do(`b STORE 1 +FLAGS (\Flagged)`, "b OK")
			k.answers("NOOP", "n OK NOOP completed")
			k.answers("IDLE", "+ idling")
			k.silent()
			k.do("DONE", "n OK")
			k.answers(`STORE 2 +FLAGS.SILENT (\Deleted)`, "n OK STORE completed")
			k.answers("UID SEARCH ALL", "* SEARCH 1 2 3", "n OK UID SEARCH completed")
			k.answers("NOTIFY SET (selected (MessageNew MessageExpunge))", "* 4 EXISTS", "* 3 RECENT", "n OK NOTIFY completed")
			k.answers("NOOP", "n OK NOOP completed")
			other.do(`b STORE 1 +FLAGS (\Seen)`, "b OK")
			k.silent()
			k.answers("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Seen \Flagged \Recent))`, "n OK FETCH completed")
			other.do(`b STORE 3 +FLAGS (\Seen)`, "b OK")
			k.answers("EXPUNGE", "* 2 EXPUNGE", "* 2 RECENT", "n OK EXPUNGE completed")
			k.answers("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange))", `* 2 FETCH (UID 3 FLAGS (\Seen \Recent))`, "n OK NOTIFY completed")
		})
	}
}

// TestNotifyOthers: what happens in other mailboxes, and to them.
func TestNotifyOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill(2)
	k, other := r.talk("joe"), r.talk("joe")
	for _, c := range []string{"CREATE a", "CREATE b", "CREATE R&-D", "SUBSCRIBE a"} {
		other.do("b "+c, "b OK")
	}
	validity := func(name string) uint32 {
		box, err := r.store.Mailbox(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return box.UIDValidity
	}
	k.do("a SELECT INBOX", "a OK")
	k.answers("NOTIFY SET STATUS (selected (MessageNew MessageExpunge)) (mailboxes (a INBOX nowhere) (MessageNew MessageExpunge FlagChange)) (inboxes (MailboxName)) (personal (SubscriptionChange))",
		fmt.Sprintf(`* STATUS "a" (MESSAGES 0 UIDNEXT 1 HIGHESTMODSEQ 1 UIDVALIDITY %d UNSEEN 0)`, validity("a")), "n OK NOTIFY completed")
	r.deliver("a", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells(fmt.Sprintf(`* STATUS "a" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %d UNSEEN 1)`, validity("a")))
	r.deliver("b", nil, "Subject: new\r\n\r\nx\r\n")
	k.silent()
	other.do("b SELECT a", "b OK")
	other.do(`b STORE 1 +FLAGS (\Seen \Deleted)`, "b OK")
	k.tells(fmt.Sprintf(`* STATUS "a" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %d UNSEEN 0)`, validity("a")))
	other.do(`b EXPUNGE`, "b OK")
	k.tells(fmt.Sprintf(`* STATUS "a" (MESSAGES 0 UIDNEXT 2 UIDVALIDITY %d UNSEEN 0)`, validity("a")))
	other.do(`b SELECT b`, "b OK")
	for _, c := range []struct {
		command string
		told    []string
	}{
		{"CREATE b/c", []string{`* LIST (\HasChildren) "/" "b"`, `* LIST (\HasNoChildren) "/" "b/c"`}},
		{"SUBSCRIBE b/c", []string{`* LIST (\HasNoChildren \Subscribed) "/" "b/c"`}},
		{"UNSUBSCRIBE b/c", []string{`* LIST (\HasNoChildren) "/" "b/c"`}},
		{"RENAME b d", []string{`* LIST (\HasChildren) "/" "d" ("OLDNAME" ("b"))`, `* LIST (\HasNoChildren) "/" "d/c" ("OLDNAME" ("b/c"))`}},
		{"RENAME R&-D R&-D2", []string{`* LIST (\HasNoChildren) "/" "R&-D2" ("OLDNAME" ("R&-D"))`}},
		{"DELETE d/c", []string{`* LIST (\HasNoChildren) "/" "d"`, `* LIST (\NonExistent \Noselect \HasNoChildren) "/" "d/c"`}},
		{`STORE 1 +FLAGS (\Flagged)`, nil},
		{"UNSUBSCRIBE a", []string{`* LIST (\HasNoChildren) "/" "a"`}},
	} {
		other.do("c "+c.command, "c OK")
		k.tells(c.told...)
		k.silent()
	}
	// The same during IDLE.
	k.answers("IDLE", "+ idling")
	r.deliver("a", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells(fmt.Sprintf(`* STATUS "a" (MESSAGES 1 UIDNEXT 3 UIDVALIDITY %d UNSEEN 1)`, validity("a")))
	r.deliver("INBOX", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells("* 3 EXISTS", "* 3 RECENT")
	k.do("DONE", "n OK")
	// What is selected is told by other responses, and by STATUS when it is left.
	k.do("n SELECT a", "n OK")
	k.tells(fmt.Sprintf(`* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY %d UNSEEN 3)`, validity("INBOX")))
	r.deliver("a", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells("* 2 EXISTS", "* 2 RECENT")
	k.silent()
	k.answers("UNSELECT", "n OK UNSELECT completed", fmt.Sprintf(`* STATUS "a" (MESSAGES 2 UIDNEXT 4 UIDVALIDITY %d UNSEEN 2)`, validity("a")))
	k.silent()
	r.deliver("a", nil, "Subject: new\r\n\r\nx\r\n")
	k.tells(fmt.Sprintf(`* STATUS "a" (MESSAGES 3 UIDNEXT 5 UIDVALIDITY %d UNSEEN 3)`, validity("a")))
	k.answers("NOTIFY NONE", "n OK NOTIFY completed")
	r.deliver("a", nil, "Subject: new\r\n\r\nx\r\n")
	k.silent()
}

// TestNotifyWhatTheClientDoesItself: it is not told (RFC 5465 section 5), what others do
// is; with CONDSTORE by HIGHESTMODSEQ, too.
func TestNotifyWhatTheClientDoesItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill(2)
	k, other := r.talk("joe"), r.talk("joe")
	k.do("a ENABLE CONDSTORE", "a OK")
	k.do("a SELECT INBOX", "a OK")
	k.answers("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))", "n OK NOTIFY completed")
	for _, c := range []string{"CREATE a/b", "SUBSCRIBE a/b", "SUBSCRIBE a/none", "COPY 1:2 a/b", "RENAME a c", "UNSUBSCRIBE a/none", "CREATE gone", "DELETE gone"} {
		k.send("n " + c)
		if line := k.line(); !strings.HasPrefix(line, "n OK") {
			t.Errorf("%s: %s", c, line)
		}
		k.silent()
	}
	k.do("n APPEND c/b {15+}\r\nSubject: o\r\n\r\nx", "n OK")
	k.silent()
	other.do("b SELECT c/b", "b OK")
	for _, c := range []struct{ command, told string }{
		{`STORE 1 +FLAGS (\Flagged)`, `* STATUS "c/b" (MESSAGES 3 UIDNEXT 4 HIGHESTMODSEQ `},
		{"SUBSCRIBE none", `* LIST (\NonExistent \Noselect \HasNoChildren \Subscribed) "/" "none"`},
		{"UNSUBSCRIBE none", `* LIST (\NonExistent \Noselect \HasNoChildren) "/" "none"`},
		{"UNSUBSCRIBE c/b", `* LIST (\HasNoChildren) "/" "c/b"`},
		{"RENAME c/b c/d", `* LIST (\HasNoChildren) "/" "c/d" ("OLDNAME" ("c/b"))`},
	} {
		other.do("b "+c.command, "b OK")
		if line := k.line(); !strings.HasPrefix(line, c.told) {
			t.Errorf("%s: told %s instead of %s", c.command, line, c.told)
		}
		k.silent()
	}
}

// TestNotifyWhatOthersDoMeanwhile: what the command of this client does not explain is
// told.
func TestNotifyWhatOthersDoMeanwhile(t *testing.T) {
	box := func(id mailstore.MailboxID, name string, uidNext mailstore.UID, modseq mailstore.ModSeq) listed {
		b := &mailstore.Mailbox{ID: id, Name: name, UIDValidity: uint32(id), Messages: uint32(uidNext) - 1, UIDNext: uidNext, HighestModSeq: modseq}
		return listed{name: name, box: b, told: b}
	}
	was := []listed{box(1, "a", 1, 1), box(2, "b", 1, 1)}
	named := func(e event, names ...string) own { return own{events: e, names: names} }
	for _, c := range []struct {
		name string
		own  own
		now  []listed
		told int
	}{
		{"one message", own{mailbox: 1, added: 1}, []listed{box(1, "a", 2, 2), was[1]}, 0},
		{"two, one of which is another's", own{mailbox: 1, added: 1}, []listed{box(1, "a", 3, 3), was[1]}, 1},
		{"one, and a flag", own{mailbox: 1, added: 1}, []listed{box(1, "a", 2, 3), was[1]}, 1},
		{"one elsewhere", own{mailbox: 1, added: 1}, []listed{box(1, "a", 2, 2), box(2, "b", 2, 2)}, 1},
		{"deleted", named(mailboxName, "a"), was[1:], 0},
		{"deleted and made again", named(mailboxName, "a"), []listed{box(3, "a", 1, 1), was[1]}, 2},
		{"subscribed and deleted", named(subscriptionChange, "a"), was[1:], 1},
		{"renamed", named(mailboxName, "a", "c"), []listed{box(1, "c", 1, 1), was[1]}, 0},
		{"renamed, with another below it", named(mailboxName, "a", "c"), []listed{box(1, "c", 1, 1), box(3, "c/d", 1, 1), was[1]}, 1},
	} {
		s := &session{conn: &conn{}, notify: &notification{own: c.own, groups: []eventGroup{{which: "PERSONAL", events: supportedEvents}}}}
		s.condstore = true
		s.tellDifference(was, c.now)
		if n := strings.Count(string(s.conn.out), "\r\n"); n != c.told {
			t.Errorf("%s: told %q", c.name, s.conn.out)
		}
	}
}

// TestNotifyAMissedSelectedMailbox: what was not told of a mailbox while it was
// selected is told when it is selected no more.
func TestNotifyAMissedSelectedMailbox(t *testing.T) {
	r := newRig(t)
	r.fill(2)
	k, other := r.talk("joe"), r.talk("joe")
	k.do("a SELECT INBOX", "a OK")
	other.do("a SELECT INBOX", "a OK")
	k.answers("NOTIFY SET (selected-delayed (MessageNew MessageExpunge)) (subtree INBOX (MessageNew MessageExpunge FlagChange))", "n OK NOTIFY completed")
	other.do(`b STORE 1 +FLAGS (\Deleted \Seen)`, "b OK")
	other.do("b EXPUNGE", "b OK")
	k.silent()
	k.answers("UNSELECT", "n OK UNSELECT completed")
	if line := k.line(); !strings.HasPrefix(line, `* STATUS INBOX (MESSAGES 1 UIDNEXT 3 `) {
		t.Error(line)
	}
}

// TestNotifyNamesThatAreUsedAgain: two changes that come as one are told by the names.
func TestNotifyNamesThatAreUsedAgain(t *testing.T) {
	box := func(id mailstore.MailboxID, name string) listed {
		b := &mailstore.Mailbox{ID: id, Name: name, UIDValidity: uint32(id), UIDNext: 1}
		return listed{name: name, box: b, told: b}
	}
	all := []eventGroup{{which: "PERSONAL", events: supportedEvents}}
	for _, c := range []struct {
		name     string
		was, now []listed
		told     string
	}{
		{"renamed", []listed{box(1, "a")}, []listed{box(1, "b")}, `LIST () "/" "b" ("OLDNAME" ("a"))`},
		{"swapped", []listed{box(1, "a"), box(2, "b")}, []listed{box(2, "a"), box(1, "b")}, `LIST () "/" "a"|STATUS "a" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 2 UNSEEN 0)|LIST () "/" "b"|STATUS "b" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1 UNSEEN 0)`},
		{"moved on", []listed{box(1, "a"), box(2, "b")}, []listed{box(1, "b"), box(2, "c")}, `LIST () "/" "b"|STATUS "b" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1 UNSEEN 0)|LIST () "/" "c"|LIST (\NonExistent \Noselect \HasNoChildren) "/" "a"`},
		{"made again", []listed{box(1, "a")}, []listed{box(2, "a")}, `LIST () "/" "a"|STATUS "a" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 2 UNSEEN 0)`},
		{"renamed and made again", []listed{box(1, "a")}, []listed{box(2, "a"), box(1, "b")}, `LIST () "/" "a"|STATUS "a" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 2 UNSEEN 0)|LIST () "/" "b"`},
		{"nothing", []listed{box(1, "a")}, []listed{box(1, "a")}, ""},
	} {
		s := &session{conn: &conn{}, notify: &notification{groups: all}}
		s.tellDifference(c.was, c.now)
		got := strings.ReplaceAll(strings.TrimSuffix(strings.ReplaceAll(string(s.conn.out), "* ", ""), "\r\n"), "\r\n", "|")
		if got != c.told {
			t.Errorf("%s: told %s instead of %s", c.name, got, c.told)
		}
	}
}

// TestNotifyArguments: what is wrong is BAD, what is not supported is NO with what is.
func TestNotifyArguments(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	for _, c := range []struct{ arguments, want string }{
		{"NONE", "n OK"},
		{"none", "n OK"},
		{"SET (selected NONE)", "n OK"},
		{"SET STATUS (personal NONE)", "n OK"},
		{"set status (SELECTED (messagenew (uid body.peek[header.fields (from)]) MESSAGEEXPUNGE)) (subtree (a {1+}\r\nb) (mailboxname))", "n OK"},
		{"SET (mailboxes a (MessageNew MessageExpunge)) (mailboxes a (MailboxName))", "n OK"},
		{"", "n BAD"},
		{"NONE x", "n BAD"},
		{"SET", "n BAD"},
		{"SET ", "n BAD"},
		{"SET STATUS", "n BAD"},
		{"SET (personal)", "n BAD"},
		{"SET (personal ())", "n BAD"},
		{"SET (personal (MailboxName)", "n BAD"},
		{"SET (personal (MailboxName))(subscribed (MailboxName))", "n BAD"},
		{"SET (nowhere (MailboxName))", "n BAD"},
		{"SET (mailboxes () (MailboxName))", "n BAD"},
		{"SET (mailboxes (MailboxName))", "n BAD"},
		{"SET (selected (MessageNew))", "n BAD"},
		{"SET (selected (MessageExpunge))", "n BAD"},
		{"SET (personal (MessageExpunge))", "n BAD"},
		{"SET (selected (FlagChange))", "n BAD"},
		{"SET (personal (MailboxName FlagChange))", "n BAD"},
		{"SET (selected (MessageNew MessageExpunge MailboxName))", "n BAD"},
		{"SET (selected (MessageNew () MessageExpunge))", "n BAD"},
		{"SET (selected (MessageNew (ALL) MessageExpunge))", "n BAD"},
		{"SET (selected (MessageNew (UID) (UID) MessageExpunge))", "n BAD"},
		{"SET (selected (MessageNew MessageExpunge (UID)))", "n BAD"},
		{"SET (personal (MessageNew (UID) MessageExpunge))", "n BAD"},
		{"SET (selected NONE) (selected-delayed (MessageNew MessageExpunge))", "n BAD"},
		{"SET (selected (AnnotationChange))", "n NO [BADEVENT (MessageNew "},
		{"SET (selected (MessageNew MessageExpunge AnnotationChange))", "n NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)]"},
		{"SET (personal (MailboxMetadataChange))", "n NO [BADEVENT (MessageNew "},
		{"SET (personal (ServerMetadataChange))", "n NO [BADEVENT (MessageNew "},
		{"SET (personal (Weather))", "n NO [BADEVENT (MessageNew "},
		{"SET (personal (Weather) x", "n BAD"},
		{"SET (mailboxes (" + strings.Repeat("x ", maxNotified) + "x) (MailboxName))", "n NO [NOTIFICATIONOVERFLOW]"},
	} {
		k.send("n NOTIFY " + c.arguments)
		if line := k.want("n "); !strings.HasPrefix(line, c.want) {
			t.Errorf("NOTIFY %s: %s", c.arguments, line)
		}
	}
}

// TestNotifyOfARestrictedDevice: it learns of its own folders only, and of one that is
// moved away that it is not there any more.
func TestNotifyOfARestrictedDevice(t *testing.T) {
	r := newDeviceRig(t)
	other := r.device("pw")
	for _, c := range []string{"CREATE a/b", "CREATE c"} {
		other.do("b "+c, "b OK")
	}
	r.set("some", &mailstore.Device{Name: "some", Folders: []mailstore.MailboxID{r.boxID("a/b")}})
	k := r.device("some")
	k.send("n NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)) (mailboxes (c Trash) (MessageNew MessageExpunge))")
	k.tells(`* STATUS INBOX (MESSAGES 0 UIDNEXT 1 HIGHESTMODSEQ 1 UIDVALIDITY 1 UNSEEN 0)`)
	if line := k.line(); !strings.HasPrefix(line, `* STATUS "a/b" (MESSAGES 0 UIDNEXT 1 `) {
		t.Error(line)
	}
	k.tells("n OK NOTIFY completed")
	for _, name := range []string{"INBOX", "c", "Trash"} {
		r.deliver(name, nil, "Subject: "+name+"\r\n\r\nx\r\n")
	}
	for _, c := range []string{"CREATE secret", "SUBSCRIBE secret", "RENAME secret secrets", "DELETE secrets"} {
		other.do("b "+c, "b OK")
	}
	k.silent()
	other.do("b CREATE a/b/c", "b OK")
	k.tells(`* LIST (\HasChildren) "/" "a/b"`, `* LIST (\HasNoChildren) "/" "a/b/c"`)
	other.do("b RENAME a/b/c c/c", "b OK")
	k.tells(`* LIST (\HasNoChildren) "/" "a/b"`, `* LIST (\NonExistent \Noselect \HasNoChildren) "/" "a/b/c"`)
	other.do("b SELECT c/c", "b OK")
	r.deliver("c/c", nil, "Subject: secret\r\n\r\nx\r\n")
	k.silent()
}

// TestNotifyEndsASilentClient: listening is no command (RFC 9051 section 5.4).
func TestNotifyEndsASilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := newSession(New(Options{}), newConn(t.Context(), ours, func() {}))
		s.user, s.notify, s.conn.between = "joe", &notification{}, true
		s.conn.start()
		start := time.Now()
		if err := s.listen(false); err != serving.ErrTimeout || time.Since(start) < idleTimeout || time.Since(start) > idleTimeout+mergeWithin {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = theirs.Close()
		s.conn.Abort()
		<-s.conn.receiverEnded
	})
}

// TestNotifyCostsNothing: nothing wakes a client that listens while nothing changes,
// and a burst is told in pieces.
func TestNotifyCostsNothing(t *testing.T) {
	r := newRig(t)
	r.fill(1000)
	k := r.talk("joe")
	k.answers("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))", "n OK NOTIFY completed")
	start, pieces := time.Now(), 0
	box := r.boxID("INBOX")
	for uid := range 1000 {
		if _, err := r.store.Copy(t.Context(), box, []mailstore.UID{mailstore.UID(uid + 1)}, box); err != nil {
			t.Fatal(err)
		}
	}
	for !strings.HasPrefix(k.want("* "), `* STATUS INBOX (MESSAGES 2000 `) {
		pieces++
	}
	if most := int(time.Since(start)/mergeWithin) + 2; pieces > most {
		t.Errorf("%d lines, want at most %d", pieces, most)
	}
}

// TestNotifyOverflow: a client that can be told no more is told so, once (RFC 5465
// section 5.8).
func TestNotifyOverflow(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	k.answers("NOTIFY SET (personal (MessageNew MessageExpunge))", "n OK NOTIFY completed")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &session{conn: &conn{}, ctx: ctx, notify: &notification{commits: make(chan struct{}), due: true}, store: scope{Store: r.store}}
	if s.tellOthers() || s.notify.commits != nil || string(s.conn.out) != "* OK [NOTIFICATIONOVERFLOW] The mailboxes cannot be read\r\n" {
		t.Errorf("told %q", s.conn.out)
	}
}

// FuzzNotify: whatever the arguments, the answer is one of the three, the session goes
// on, and what is accepted is told without an error.
func FuzzNotify(f *testing.F) {
	for _, seed := range []string{
		"NONE", "SET STATUS (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (A)]<0.9>) MessageExpunge FlagChange)) (personal (MailboxName))",
		"SET (selected-delayed NONE) (subtree (INBOX \"a b\") (MessageNew MessageExpunge FlagChange AnnotationChange))",
		"SET (inboxes (SubscriptionChange ServerMetadataChange)) (mailboxes a (MailboxMetadataChange)) (subscribed NONE)",
		"SET (mailboxes {3+}\r\nabc (MailboxName))", "SET (mailboxes {3}\r\n", "SET (((", "SET (selected (MessageNew (BODY[]) MessageExpunge))",
	} {
		f.Add([]byte(seed))
	}
	r := newRig(f)
	r.fill(2)
	n := 0
	f.Fuzz(func(t *testing.T, arguments []byte) {
		r.t = t
		k := r.talk("joe")
		defer func() { _ = k.conn.Close() }()
		k.do("a SELECT INBOX", "a OK")
		k.send("n NOTIFY " + string(arguments))
		line := k.line()
		for !strings.HasPrefix(line, "n ") && !strings.HasPrefix(line, "+ ") && k.err == nil {
			line = k.line()
		}
		if !strings.HasPrefix(line, "n OK") {
			return // FuzzServer sees to what comes behind
		}
		n++
		name := fmt.Sprintf("made%d-%d", os.Getpid(), n)
		if _, err := r.store.CreateMailbox(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
		r.deliver("INBOX", nil, fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", n))
		if err := r.store.DeleteMailbox(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		k.do("z NOOP", "z OK")
	})
}
