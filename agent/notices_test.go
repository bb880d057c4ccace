package agent

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message/mail"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// noticeRig is an agent that does nothing by itself, and its notices.
func noticeRig(t *testing.T, head string) (*rig, *notices) {
	r := newRig(t)
	r.Configure(head+"\n"+agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	r.Agent = r.Open()
	t.Cleanup(func() { _ = r.Agent.Close() })
	return r, r.notices()
}

func (r *rig) notices() *notices {
	r.t.Helper()
	n := newNotices(r.own())
	if err := n.load(); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// fails reports an error of the account.
func (r *rig) fails(err error) {
	r.own().health.Report("account home", ofAnn(health.Account("home", err, 0)...)...)
}

// ofAnn gives conditions to ann.
func ofAnn(list ...health.Condition) []health.Condition {
	for i := range list {
		list[i].User = "ann"
	}
	return list
}

func (r *rig) annsInbox() (*mailstore.Store, mailstore.Mailbox) {
	r.t.Helper()
	store, err := r.own().users.Store(r.t.Context(), "ann")
	if err != nil {
		r.t.Fatal(err)
	}
	box, err := store.Mailbox(r.t.Context(), "INBOX")
	if err != nil {
		r.t.Fatal(err)
	}
	return store, box
}

// inbox returns how many messages are in INBOX, and the last one.
func (r *rig) inbox() (n int, last []byte) {
	r.t.Helper()
	store, box := r.annsInbox()
	messages := wholeMailbox(r.t, store, box.ID)
	if len(messages) > 0 {
		last = messages[len(messages)-1]
	}
	return len(messages), last
}

// seen marks all messages in INBOX as read.
func (r *rig) seen() {
	r.t.Helper()
	store, box := r.annsInbox()
	for uid := mailstore.UID(1); uid < box.UIDNext; uid++ {
		if _, err := store.SetFlags(r.t.Context(), box.ID, []mailstore.UID{uid}, mailflags.Add, []string{`\Seen`}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func wholeMailbox(t *testing.T, store *mailstore.Store, id mailstore.MailboxID) (all [][]byte) {
	t.Helper()
	v, err := store.OpenView(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	snapshot := v.Snapshot()
	contents, err := store.Contents(t.Context(), snapshot.Contents, mailstore.WantFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contents {
		f, err := store.OpenContent(c.Hash)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b.Bytes())
	}
	return all
}

var refusedPassword = fault.New(fault.Auth, "the server refused\r\nthe password: \x1b[31mé", "set another one")

// TestAPersonIsToldOfEachProblemOnce: also after a restart, and again only when
// it came back after it was over.
func TestAPersonIsToldOfEachProblemOnce(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true")
	now := time.Now()
	look := func(after time.Duration, want int, what string) {
		t.Helper()
		now = now.Add(after)
		if err := n.look(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if got, _ := r.inbox(); got != want {
			t.Errorf("%s: %d messages, want %d", what, got, want)
		}
	}
	look(0, 0, "all is well")
	r.fails(refusedPassword)
	look(0, 1, "a password is refused")
	look(time.Minute, 1, "still")
	n = r.notices()
	look(time.Minute, 1, "after a restart")
	r.fails(nil)
	look(time.Minute, 0, "over, and not read")
	r.fails(refusedPassword)
	look(time.Minute, 0, "back within the hour")
	look(2*endedAfter, 1, "back for an hour")
	r.fails(nil)
	look(time.Minute, 0, "over at the next look")
	r.fails(refusedPassword)
	look(2*endedAfter, 1, "back once more")
	r.seen()
	r.fails(nil)
	look(time.Minute, 1, "over, and read")
	look(endedAfter, 1, "over for an hour")
	r.fails(refusedPassword)
	look(time.Minute, 2, "back")
	n = r.notices()
	r.fails(nil)
	look(time.Minute, 2, "not known yet, after a restart")
	look(withdrawAfter, 1, "over, after a restart")

	store, err := r.own().users.Store(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := store.AccountState(t.Context(), "home"); err != nil || s.Stored != 0 {
		t.Errorf("the account has stored %d, %v", s.Stored, err)
	}
	// No person has deleted anything.
	if list, err := store.Expunged(t.Context(), mailstore.ExpungedQuery{}); err != nil || len(list) != 0 {
		t.Errorf("withdrawn notices can be brought back: %v, %v", list, err)
	}
}

// TestALastingProblemIsToldEachTime: a person has brought it about, and each time is
// a case of its own. An account that a changed config replaces is none.
func TestALastingProblemIsToldEachTime(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true")
	waits := ofAnn(health.DeletesUnconfirmed("home", 3, "show", "allow"))
	now := time.Now()
	for _, step := range []struct {
		after      time.Duration
		conditions []health.Condition
		want       int
	}{{0, waits, 1}, {time.Second, nil, 1}, {time.Second, waits, 1}, {time.Second, nil, 1}, {replacedAfter, nil, 0}, {time.Second, waits, 1}} {
		now = now.Add(step.after)
		r.own().health.Report("account home", step.conditions...)
		if err := n.look(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if got, _ := r.inbox(); got != step.want {
			t.Errorf("%+v: %d messages", step, got)
		}
	}
}

// TestANoticeGoesWithAUserWhoIsRenamed, and is withdrawn there.
func TestANoticeGoesWithAUserWhoIsRenamed(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true")
	r.annsInbox()
	r.Configure("notices = true\n"+agenttest.Plain, agenttest.Account{Name: "home", User: "bob", Folder: "INBOX", Port: 1})
	r.own().cfg.Store(r.Load())
	r.own().health.Report("users", health.UserWithoutAccount("ann", 3, "rename"))
	now := time.Now()
	if err := n.look(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.inbox(); got != 1 {
		t.Fatalf("%d messages", got)
	}
	r.own().health.Report("users")
	if _, err := r.Ops().RenameUser(t.Context(), "ann", "bob"); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{time.Second, 2 * replacedAfter} {
		if err := n.look(t.Context(), now.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	store, err := r.own().users.Store(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	box, err := store.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	if left := wholeMailbox(t, store, box.ID); len(left) != 0 || len(n.list) != 0 {
		t.Errorf("%d messages and %d notices are left", len(left), len(n.list))
	}
}

// TestEveryUserIsToldOfTheConfig once it has been wrong for longer than it takes to
// edit it, but not one whose mailbox has to stay empty.
func TestEveryUserIsToldOfTheConfig(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true")
	r.own().health.Report("config", health.ConfigInvalid(errors.New("line 3"), "check"))
	if err := n.look(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.inbox(); got != 0 {
		t.Errorf("%d messages while the file is edited", got)
	}
	later := time.Now().Add(11 * time.Minute)
	r.fails(health.NewUserChanged(errors.New("bob has the mail")))
	if err := n.look(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.inbox(); got != 0 {
		t.Errorf("%d messages in a mailbox that has to stay empty", got)
	}
	r.fails(nil)
	if err := n.look(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if got, text := r.inbox(); got != 1 || !bytes.Contains(text, []byte("the changed config has errors")) {
		t.Errorf("%d messages: %s", got, text)
	}
}

// TestMailThatDoesNotFlowIsToldAfterAWhile: a server that is away for some minutes
// is no news.
func TestMailThatDoesNotFlowIsToldAfterAWhile(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true")
	r.fails(fault.New(fault.Temporary, "the server does not answer", ""))
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 0}, {59 * time.Minute, 0}, {61 * time.Minute, 1}, {5 * time.Hour, 1}} {
		if err := n.look(t.Context(), time.Now().Add(tt.after)); err != nil {
			t.Fatal(err)
		}
		if got, _ := r.inbox(); got != tt.want {
			t.Errorf("after %v: %d messages", tt.after, got)
		}
	}
}

// TestANoticeIsAPlainMail: with what, since when, what to do and how to switch it
// off, whatever a server has said.
func TestANoticeIsAPlainMail(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true\ntimezone = \"Europe/Vienna\"")
	r.fails(refusedPassword)
	if err := n.look(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	_, raw := r.inbox()
	if bytes.ContainsAny(bytes.ReplaceAll(raw, []byte("\r\n"), nil), "\r\n\x1b") {
		t.Errorf("bare line ends or controls: %q", raw)
	}
	m, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	from, _ := m.Header.AddressList("From")
	subject, _ := m.Header.Subject()
	id, _ := m.Header.MessageID()
	date, err := m.Header.Date()
	if len(from) != 1 || from[0].String() != `"popbridge" <popbridge@localhost>` || id == "" || err != nil || time.Since(date) > time.Minute ||
		m.Header.Get("Auto-Submitted") != "auto-generated" || subject != "popbridge: account home: the server refused the password: ?[31mé" {
		t.Errorf("header: %v %q %q %v %v", from, subject, id, date, err)
	}
	part, err := m.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(part.Body); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"account home: the server refused the password: ?[31mé", "\r\nSince: ", "What to do: set another one", "notices = false", r.Path(), "popbridge status"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

// TestNoticesCanBeSwitchedOff, and alerts with them.
func TestNoticesCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = false")
	r.fails(refusedPassword)
	if err := n.look(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.inbox(); got != 0 || r.own().alerts.alert("ann", "phone") != "" {
		t.Errorf("%d messages", got)
	}
}

// TestANoticeIsStoredOnce: a crash between the message and the note of it makes no
// second one.
func TestANoticeIsStoredOnce(t *testing.T) {
	t.Parallel()
	r, n := noticeRig(t, "notices = true")
	r.fails(refusedPassword)
	now := time.Now()
	if err := n.look(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(n.path)
	if err != nil || !bytes.Contains(text, []byte(`"stored": true`)) {
		t.Fatalf("%s %v", text, err)
	}
	if err := os.WriteFile(n.path, bytes.ReplaceAll(text, []byte(`"stored": true`), []byte(`"stored": false`)), 0o600); err != nil {
		t.Fatal(err)
	}
	n = r.notices()
	if err := n.look(t.Context(), now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.inbox(); got != 1 {
		t.Errorf("%d messages", got)
	}
}

// TestAnAlertOnceAnHour for each device, with the most severe problem first: also
// of a full disk, which no message can tell of.
func TestAnAlertOnceAnHour(t *testing.T) {
	t.Parallel()
	r, _ := noticeRig(t, "notices = true")
	if got := r.own().alerts.alert("ann", "phone"); got != "" {
		t.Errorf("all is well: %q", got)
	}
	r.own().health.Report("user ann", health.Store("ann", fault.New(fault.Full, "no space left", "make room"))...)
	r.own().health.Report("x", ofAnn(health.DeletesUnconfirmed("home", 3, "show", "allow"))...)
	want := "popbridge, 2 problems: mail of user ann: no space left; make room"
	for _, device := range []string{"phone", "laptop"} {
		if got := r.own().alerts.alert("ann", device); got != want {
			t.Errorf("%s: %q", device, got)
		}
		if got := r.own().alerts.alert("ann", device); got != "" {
			t.Errorf("%s again: %q", device, got)
		}
	}
	if got := r.own().alerts.alert("bob", "phone"); got != "" {
		t.Errorf("of another user: %q", got)
	}
	r.own().alerts.at[[2]string{"ann", "phone"}] = time.Now().Add(-alertEvery)
	if got := r.own().alerts.alert("ann", "phone"); got != want {
		t.Errorf("an hour later: %q", got)
	}
}
