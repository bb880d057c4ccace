package agent

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// oneUser is an agent that has fetched three messages for ann.
func oneUser(t *testing.T) (r *rig, srv *peer, home testAccount) {
	t.Helper()
	r = newRig(t)
	srv, port := pop(t, "home", 3)
	home = testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, home)
	r.start()
	r.sync()
	return r, srv, home
}

func (r *rig) reload(accounts ...testAccount) {
	r.t.Helper()
	r.configure(plain, accounts...)
	r.agent.Reload()
}

func (r *rig) condition(code string) health.Condition {
	r.t.Helper()
	for _, c := range r.status().Health { // sorted by text among those of a code
		if c.Code == code {
			return c
		}
	}
	return health.Condition{}
}

func TestMailOfAUserWithoutAccountIsServedCheckedAndBackedUp(t *testing.T) {
	t.Parallel()
	r, srv, _ := oneUser(t)
	_, port := pop(t, "new", 1)
	for _, accounts := range [][]testAccount{{{name: "new", user: "bob", folder: "INBOX", port: port}}, nil} {
		r.reload(accounts...)
		sameBytes(t, read(t, r.addr, "ann", "INBOX"), srv.sent)
		if c := r.condition(health.CodeUserWithoutAccount); !strings.Contains(c.Text, "user ann has 3 messages") || !strings.Contains(c.Hint, "user rename ann") {
			t.Errorf("condition %+v", c)
		}
		devices, err := r.agent.ops.Devices(t.Context())
		if err != nil || !slices.ContainsFunc(devices, func(d operations.Device) bool { return d.User == "ann" }) {
			t.Errorf("devices %+v, %v", devices, err)
		}
		backup, err := r.agent.ops.Backup(t.Context(), filepath.Join(r.dir, "saved"), false, nil)
		if err != nil || counts(backup)["ann"][0] != 3 {
			t.Errorf("backup %+v, %v", backup, err)
		}
		repaired, err := r.agent.ops.Repair(t.Context(), nil)
		if err != nil || !slices.ContainsFunc(repaired, func(d operations.Repaired) bool { return d.User == "ann" }) {
			t.Errorf("repaired %+v, %v", repaired, err)
		}
	}
	c := login(t, r.addr, "ann", nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	expungeFirst(t, c)
	expunged, err := r.agent.ops.Expunged(t.Context(), operations.ExpungedQuery{})
	if err != nil || len(expunged) != 1 {
		t.Fatalf("expunged %+v, %v", expunged, err)
	}
	if restored, err := r.agent.ops.Undelete(t.Context(), operations.Undelete{User: "ann", IDs: []int64{expunged[0].ID}}); err != nil || len(restored) != 1 {
		t.Errorf("restored %+v, %v", restored, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.startWith() // the last account was removed, and its mail is still served
	if got := read(t, r.addr, "ann", "INBOX"); len(got) != 3 {
		t.Errorf("%d messages after a restart", len(got))
	}
	file := filepath.Join(r.dir, "data", "users", "ann", "mail")
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	if problems, err := r.agent.ops.Check(t.Context(), nil); err != nil || len(problems) == 0 || problems[0].User != "ann" {
		t.Errorf("check found %+v, %v", problems, err)
	}
}

func expungeFirst(t *testing.T, c *imapclient.Client) {
	t.Helper()
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFoldersThatAreNoStoreAreNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	r, _, _ := oneUser(t)
	users := filepath.Join(r.dir, "data", "users")
	for _, name := range []string{"empty", "b d/mail", ".git", "lost+found"} {
		if err := os.MkdirAll(filepath.Join(users, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"b d", "empty"}
	if runtime.GOOS != "windows" {
		if err := os.Symlink("ann", filepath.Join(users, "link")); err != nil {
			t.Fatal(err)
		}
		want = append(want, "link")
	}
	problems, err := r.agent.ops.Check(t.Context(), nil)
	var odd []string
	for _, p := range problems {
		odd = append(odd, p.User)
	}
	if err != nil || !slices.Equal(odd, want) {
		t.Errorf("named %v, %v", odd, err)
	}
	for _, name := range []string{"link", "empty", "b d", "..", "../users/ann", "nobody"} {
		if _, err := r.agent.login(t.Context(), name, devicePassword); !fault.Is(err, fault.Auth) {
			t.Errorf("login of %q: %v", name, err)
		}
	}
	if list, err := r.agent.ops.Users(t.Context()); err != nil || len(list) != 1 || list[0].Messages != 3 || list[0].Accounts[0] != "home" || list[0].Devices[0] != "test" {
		t.Errorf("users %+v, %v", list, err)
	}
}

// A changed user is a question: polled at once, the mail that the server still
// has would be fetched again, for another user.
func TestAnAccountOfAnotherUserWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	r, srv, home := oneUser(t)
	srv.Add(testkit.Message(7))
	held := func() {
		t.Helper()
		results, err := r.agent.ops.Sync(t.Context(), nil, nil)
		if err != nil || results[0].New != 0 || !strings.Contains(results[0].Error, "user ann has 3 messages of it") {
			t.Errorf("sync %+v, %v", results, err)
		}
		eventually(t, "the account is held", func() bool { return r.condition(health.CodeAccountUserChanged).Code != "" })
		c := r.condition(health.CodeAccountUserChanged)
		if !strings.Contains(c.Hint, "user rename ann bob") || !strings.Contains(c.Hint, `user = "ann"`) || !strings.Contains(c.Hint, "account confirm") {
			t.Errorf("hint %q", c.Hint)
		}
		if s := r.status().Accounts[0]; s.State != "paused" {
			t.Errorf("state %s", s.State)
		}
	}
	home.user = "bob"
	r.reload(home)
	held()
	home.replace = []string{"]]\nname = \"home\"", "]]\nname = \"other\""} // by another name as well
	r.reload(home)
	held()

	home.user, home.replace = "ann", nil
	r.reload(home)
	if got := r.sync(); got[0].New+len(read(t, r.addr, "ann", "INBOX")) < 4 {
		t.Errorf("back to ann: %+v", got)
	}
	home.user = "bob"
	r.reload(home)
	if done, err := r.agent.ops.Confirm(t.Context(), "home"); err != nil || done != (operations.Confirmed{User: "bob", Held: true}) {
		t.Fatal(done, err)
	}
	r.sync()
	if got := r.condition(health.CodeAccountUserChanged); got.Code != "" {
		t.Errorf("after it was confirmed: %+v", got)
	}
	users, err := r.agent.ops.Users(t.Context())
	if err != nil || users[0].Name != "bob" || users[0].Messages != 4 {
		t.Errorf("users %+v, %v", users, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.startWith()
	if r.sync()[0].New != 0 || r.condition(health.CodeAccountUserChanged).Code != "" {
		t.Error("what was confirmed is not remembered")
	}
	sameBytes(t, read(t, r.addr, "ann", "INBOX"), srv.sent)
}

// Nor is a port that is changed at the same time an answer; back with the former
// user, the account is no question any more.
func TestAnotherPortIsNoOtherMailbox(t *testing.T) {
	t.Parallel()
	r, _, home := oneUser(t)
	_, home.port = pop(t, "home", 3)
	home.user = "bob"
	r.reload(home)
	eventually(t, "the account is held", func() bool { return r.condition(health.CodeAccountUserChanged).Code != "" })
	if _, err := r.agent.ops.Confirm(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	r.sync()
	home.user = "ann"
	r.reload(home)
	r.sync()
	if c := r.condition(health.CodeAccountUserChanged); c.Code != "" {
		t.Errorf("back with ann: %+v", c)
	}
}

func TestARenamedUserHasTheSameMailAndDevices(t *testing.T) {
	t.Parallel()
	for _, configFirst := range []bool{true, false} {
		r, srv, home := oneUser(t)
		before := login(t, r.addr, "ann", nil)
		selected, err := before.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		rename := func() {
			t.Helper()
			u, err := r.agent.ops.RenameUser(t.Context(), "ann", "bob")
			if err != nil || u.Messages != 3 || len(u.Devices) != 1 {
				t.Fatalf("renamed %+v, %v", u, err)
			}
		}
		change := func() { home.user = "bob"; r.reload(home) }
		if configFirst {
			change()
			r.status() // makes the empty store of bob
			rename()
		} else {
			rename()
			if c := r.condition(health.CodeAccountUserChanged); !strings.Contains(c.Text, "user bob") {
				eventually(t, "the account is held", func() bool { return r.condition(health.CodeAccountUserChanged).Code != "" })
			}
			change()
		}
		<-before.Closed()
		srv.Add(testkit.Message(9))
		r.sync() // may join the poll that the change has started
		r.sync()
		sameBytes(t, read(t, r.addr, "bob", "INBOX"), srv.sent)
		after, err := login(t, r.addr, "bob", nil).Select("INBOX", nil).Wait()
		if err != nil || after.UIDValidity != selected.UIDValidity || after.UIDNext != selected.UIDNext+1 {
			t.Errorf("%+v, before %+v, %v", after, selected, err)
		}
		users, err := r.agent.ops.Users(t.Context())
		if err != nil || users[0].Name != "bob" || users[0].Messages != 4 || len(users) > 1 && users[1].Messages > 0 {
			t.Errorf("users %+v, %v", users, err)
		}
		if c := r.codes(); c != "" {
			t.Errorf("conditions %s", c)
		}
	}
}

func TestARenameReplacesNoMail(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.start()
	r.sync()
	for _, c := range []struct{ from, to, why string }{
		{"ann", "bob", "has mail already"}, {"ann", "ann", "both names"}, {"eve", "bob", "no user"},
		{"ann", "../x", "cannot be the name"}, {"ann", "BOB", "differs only in case"},
	} {
		if _, err := r.agent.ops.RenameUser(t.Context(), c.from, c.to); err == nil || !strings.Contains(err.Error(), c.why) || fault.Hint(err) == "" {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
	foreign := filepath.Join(r.dir, "data", "users", "eve", "notes")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.agent.ops.RenameUser(t.Context(), "ann", "eve"); !fault.Is(err, fault.Conflict) {
		t.Errorf("over a folder of a person: %v", err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	if len(read(t, r.addr, "ann", "INBOX")) != 3 || r.sync()[0].New != 0 {
		t.Error("something was changed")
	}
}

func TestARenameWithoutARunningAgent(t *testing.T) {
	t.Parallel()
	r, _, home := oneUser(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	home.user = "Ann" // on a file system that ignores case it is the same folder
	r.configure(plain, home)
	r.agent = r.open()
	if _, err := r.agent.ops.RenameUser(t.Context(), "ann", "Ann"); err != nil {
		if _, sameFolder := os.Stat(r.agent.users.Dir("Ann")); sameFolder != nil {
			t.Fatal(err)
		}
	}
	if got := r.sync(); got[0].New != 0 {
		t.Errorf("fetched %+v", got)
	}
	if err := r.agent.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), r.load(), Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if _, err := a.login(t.Context(), "Ann", devicePassword); err != nil {
		t.Error(err)
	}
}

func TestAnotherFolderIsForNewMail(t *testing.T) {
	t.Parallel()
	r, srv, home := oneUser(t)
	home.folder = "Work"
	r.reload(home)
	srv.Add(testkit.Message(9))
	r.sync()
	r.sync()
	sameBytes(t, read(t, r.addr, "ann", "INBOX"), srv.sent[:3])
	sameBytes(t, read(t, r.addr, "ann", "Work"), srv.sent[3:])
	if notes := r.status().Accounts[0].Notes; len(notes) == 0 || !strings.Contains(notes[len(notes)-1], "new mail goes to Work; what came before went to INBOX") {
		t.Errorf("status says %q", notes)
	}
}

// TestUsersWhoseMailCannotBeRead do not hide the others.
func TestUsersWhoseMailCannotBeRead(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.start()
	r.sync()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "data", "users", "ann")); err != nil {
		t.Fatal(err)
	}
	r.agent = r.open()
	defer func() { _ = r.agent.Close() }()
	users, err := r.agent.ops.Users(t.Context())
	if err != nil || len(users) != 2 || users[0].Name != "ann" || users[0].Error == "" || users[0].Hint == "" ||
		users[1].Error != "" || users[1].Messages == 0 {
		t.Errorf("%+v, %v", users, err)
	}
}
