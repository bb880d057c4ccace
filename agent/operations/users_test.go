package operations_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestMailOfAUserWithoutAccountIsServedCheckedAndBackedUp(t *testing.T) {
	t.Parallel()
	r, srv, _ := agenttest.OneUser(t, open)
	_, port := agenttest.POP(t, "new", 1)
	for _, accounts := range [][]agenttest.Account{{{Name: "new", User: "bob", Folder: "INBOX", Port: port}}, nil} {
		r.Reload(accounts...)
		agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "INBOX"), srv.Sent)
		if c := r.Condition(health.CodeUserWithoutAccount); !strings.Contains(c.Text, "user ann has 3 messages") || !strings.Contains(c.Hint, "user rename ann") {
			t.Errorf("condition %+v", c)
		}
		devices, err := r.Ops().Devices(t.Context())
		if err != nil || !slices.ContainsFunc(devices, func(d operations.Device) bool { return d.User == "ann" }) {
			t.Errorf("devices %+v, %v", devices, err)
		}
		backup, err := r.Ops().Backup(t.Context(), filepath.Join(r.Dir, "saved"), false, nil)
		if err != nil || counts(backup)["ann"][0] != 3 {
			t.Errorf("backup %+v, %v", backup, err)
		}
		repaired, err := r.Ops().Repair(t.Context(), nil)
		if err != nil || !slices.ContainsFunc(repaired, func(d operations.Repaired) bool { return d.User == "ann" }) {
			t.Errorf("repaired %+v, %v", repaired, err)
		}
	}
	c := agenttest.Login(t, r.Addr, "ann", nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	agenttest.ExpungeFirst(t, c)
	expunged, err := r.Ops().Expunged(t.Context(), operations.ExpungedQuery{})
	for _, m := range expunged {
		if got := m.Until.Sub(m.ExpungedAt); got != 30*24*time.Hour {
			t.Errorf("kept for %v", got)
		}
	}
	if err != nil || len(expunged) != 1 {
		t.Fatalf("expunged %+v, %v", expunged, err)
	}
	if restored, err := r.Ops().Undelete(t.Context(), operations.Undelete{User: "ann", IDs: []int64{expunged[0].ID}}); err != nil || len(restored) != 1 {
		t.Errorf("restored %+v, %v", restored, err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.StartWith() // the last account was removed, and its mail is still served
	if got := agenttest.Read(t, r.Addr, "ann", "INBOX"); len(got) != 3 {
		t.Errorf("%d messages after a restart", len(got))
	}
	file := filepath.Join(r.Dir, "data", "users", "ann", "mail")
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	if problems, err := r.Ops().Check(t.Context(), nil); err != nil || len(problems) == 0 || problems[0].User != "ann" {
		t.Errorf("check found %+v, %v", problems, err)
	}
}

func TestFoldersThatAreNoStoreAreNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	users := filepath.Join(r.Dir, "data", "users")
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
	problems, err := r.Ops().Check(t.Context(), nil)
	var odd []string
	for _, p := range problems {
		odd = append(odd, p.User)
	}
	if err != nil || !slices.Equal(odd, want) {
		t.Errorf("named %v, %v", odd, err)
	}
	for _, name := range []string{"link", "empty", "b d", "..", "../users/ann", "nobody"} {
		c, err := imapclient.DialInsecure(r.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Login(name, agenttest.DevicePassword).Wait(); err == nil {
			t.Errorf("%q can log in", name)
		}
		_ = c.Close()
	}
	if list, err := r.Ops().Users(t.Context()); err != nil || len(list) != 1 || list[0].Messages != 3 || list[0].Accounts[0] != "home" || list[0].Devices[0] != "test" {
		t.Errorf("users %+v, %v", list, err)
	}
}

// A changed user is a question: polled at once, the mail that the server still
// has would be fetched again, for another user.
func TestAnAccountOfAnotherUserWaitsForAnAnswer(t *testing.T) {
	t.Parallel()
	r, srv, home := agenttest.OneUser(t, open)
	srv.Add(testkit.Message(7))
	held := func() {
		t.Helper()
		results, err := r.Ops().Sync(t.Context(), nil, nil)
		if err != nil || results[0].New != 0 || !strings.Contains(results[0].Error, "user ann has 3 messages of it") {
			t.Errorf("sync %+v, %v", results, err)
		}
		agenttest.Eventually(t, "the account is held", func() bool { return r.Condition(health.CodeAccountUserChanged).Code != "" })
		c := r.Condition(health.CodeAccountUserChanged)
		if !strings.Contains(c.Hint, "user rename ann bob") || !strings.Contains(c.Hint, `user = "ann"`) || !strings.Contains(c.Hint, "account confirm") {
			t.Errorf("hint %q", c.Hint)
		}
		if s := r.Status().Accounts[0]; s.State != "paused" {
			t.Errorf("state %s", s.State)
		}
	}
	home.User = "bob"
	r.Reload(home)
	held()
	home.Replace = []string{"]]\nname = \"home\"", "]]\nname = \"other\""} // by another name as well
	r.Reload(home)
	held()

	home.User, home.Replace = "ann", nil
	r.Reload(home)
	if got := r.Sync(); got[0].New+len(agenttest.Read(t, r.Addr, "ann", "INBOX")) < 4 {
		t.Errorf("back to ann: %+v", got)
	}
	home.User = "bob"
	r.Reload(home)
	if done, err := r.Ops().Confirm(t.Context(), operations.Confirm{Account: "home", Everything: true}); err != nil || done != (operations.Confirmed{User: "bob", Held: true}) {
		t.Fatal(done, err)
	}
	syncedAfterChange(t, r)
	if got := r.Condition(health.CodeAccountUserChanged); got.Code != "" {
		t.Errorf("after it was confirmed: %+v", got)
	}
	users, err := r.Ops().Users(t.Context())
	if err != nil || users[0].Name != "bob" || users[0].Messages != 4 {
		t.Errorf("users %+v, %v", users, err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.StartWith()
	if r.Sync()[0].New != 0 || r.Condition(health.CodeAccountUserChanged).Code != "" {
		t.Error("what was confirmed is not remembered")
	}
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "INBOX"), srv.Sent)
}

// Nor is a port that is changed at the same time an answer; back with the former
// user, the account is no question any more.
func TestAnotherPortIsNoOtherMailbox(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	_, home.Port = agenttest.POP(t, "home", 3)
	home.User = "bob"
	r.Reload(home)
	agenttest.Eventually(t, "the account is held", func() bool { return r.Condition(health.CodeAccountUserChanged).Code != "" })
	if _, err := r.Ops().Confirm(t.Context(), operations.Confirm{Account: "home"}); err != nil {
		t.Fatal(err)
	}
	r.Sync()
	home.User = "ann"
	r.Reload(home)
	r.Sync()
	if c := r.Condition(health.CodeAccountUserChanged); c.Code != "" {
		t.Errorf("back with ann: %+v", c)
	}
}

func TestARenamedUserHasTheSameMailAndDevices(t *testing.T) {
	t.Parallel()
	for _, configFirst := range []bool{true, false} {
		r, srv, home := agenttest.OneUser(t, open)
		before := agenttest.Login(t, r.Addr, "ann", nil)
		selected, err := before.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		rename := func() {
			t.Helper()
			u, err := r.Ops().RenameUser(t.Context(), "ann", "bob")
			if err != nil || u.Messages != 3 || len(u.Devices) != 1 {
				t.Fatalf("renamed %+v, %v", u, err)
			}
		}
		change := func() { home.User = "bob"; r.Reload(home) }
		if configFirst {
			change()
			r.Status() // makes the empty store of bob
			rename()
		} else {
			rename()
			if c := r.Condition(health.CodeAccountUserChanged); !strings.Contains(c.Text, "user bob") {
				agenttest.Eventually(t, "the account is held", func() bool { return r.Condition(health.CodeAccountUserChanged).Code != "" })
			}
			change()
		}
		<-before.Closed()
		srv.Add(testkit.Message(9))
		r.Sync() // may join the poll that the change has started
		r.Sync()
		agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "bob", "INBOX"), srv.Sent)
		after, err := agenttest.Login(t, r.Addr, "bob", nil).Select("INBOX", nil).Wait()
		if err != nil || after.UIDValidity != selected.UIDValidity || after.UIDNext != selected.UIDNext+1 {
			t.Errorf("%+v, before %+v, %v", after, selected, err)
		}
		users, err := r.Ops().Users(t.Context())
		if err != nil || users[0].Name != "bob" || users[0].Messages != 4 || len(users) > 1 && users[1].Messages > 0 {
			t.Errorf("users %+v, %v", users, err)
		}
		if c := r.Codes(); c != "" {
			t.Errorf("conditions %s", c)
		}
	}
}

func TestARenameOnThePageTakesTheAccountsAlong(t *testing.T) {
	t.Parallel()
	r, srv, _ := agenttest.OneUser(t, open)
	u, err := r.Ops().RenameUserWithAccounts(t.Context(), operations.Rename{From: "ann", To: "bob"})
	if err != nil || u.Name != "bob" || u.Messages != 3 || !slices.Equal(u.Accounts, []string{"home"}) {
		t.Fatalf("renamed %+v, %v", u, err)
	}
	if text := r.Text(); !strings.Contains(text, `"bob"`) || strings.Contains(text, `"ann"`) {
		t.Errorf("config\n%s", text)
	}
	if got := r.Sync(); got[0].Error != "" || got[0].New != 0 || r.Condition(health.CodeAccountUserChanged).Code != "" {
		t.Errorf("sync %+v", got)
	}
	if users, err := r.Ops().Users(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("users %+v, %v", users, err)
	}
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "bob", "INBOX"), srv.Sent)
	if err := os.Remove(r.Load().Path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().RenameUserWithAccounts(t.Context(), operations.Rename{From: "bob", To: "eve"}); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), `user = "eve"`) {
		t.Errorf("without a config: %v", err)
	}
}

func TestARenameReplacesNoMail(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Start()
	r.Sync()
	for _, c := range []struct{ from, to, why string }{
		{"ann", "bob", "has mail already"}, {"ann", "ann", "both names"}, {"eve", "bob", "no user"},
		{"ann", "../x", "cannot be the name"}, {"ann", "BOB", "differs only in case"},
	} {
		if _, err := r.Ops().RenameUser(t.Context(), c.from, c.to); err == nil || !strings.Contains(err.Error(), c.why) || fault.Hint(err) == "" {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
	foreign := filepath.Join(r.Dir, "data", "users", "eve", "notes")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Ops().RenameUser(t.Context(), "ann", "eve"); !fault.Is(err, fault.Conflict) {
		t.Errorf("over a folder of a person: %v", err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	if len(agenttest.Read(t, r.Addr, "ann", "INBOX")) != 3 || r.Sync()[0].New != 0 {
		t.Error("something was changed")
	}
}

func TestARenameWithoutARunningAgent(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	home.User = "Ann" // on a file system that ignores case it is the same folder
	r.Configure(agenttest.Plain, home)
	r.Agent = r.Open()
	if _, err := r.Ops().RenameUser(t.Context(), "ann", "Ann"); err != nil {
		if _, sameFolder := os.Stat(filepath.Join(r.Dir, "data", "users", "Ann")); sameFolder != nil {
			t.Fatal(err)
		}
	}
	if got := r.Sync(); got[0].New != 0 {
		t.Errorf("fetched %+v", got)
	}
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.StartWith()
	agenttest.Login(t, r.Addr, "Ann", nil)
}

func TestAnotherFolderIsForNewMail(t *testing.T) {
	t.Parallel()
	r, srv, home := agenttest.OneUser(t, open)
	home.Folder = "Work"
	r.Reload(home)
	srv.Add(testkit.Message(9))
	r.Sync()
	r.Sync()
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "INBOX"), srv.Sent[:3])
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "Work"), srv.Sent[3:])
	if notes := r.Status().Accounts[0].Notes; len(notes) == 0 || !strings.Contains(notes[len(notes)-1], "new mail goes to Work; what came before went to INBOX") {
		t.Errorf("status says %q", notes)
	}
}

// TestUsersWhoseMailCannotBeRead do not hide the others.
func TestUsersWhoseMailCannotBeRead(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Start()
	r.Sync()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.Dir, "data", "users", "ann")); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	users, err := r.Ops().Users(t.Context())
	if err != nil || len(users) != 2 || users[0].Name != "ann" || users[0].Error == "" || users[0].Hint == "" ||
		users[1].Error != "" || users[1].Messages == 0 {
		t.Errorf("%+v, %v", users, err)
	}
}
