package operations_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// submit queues a message of a user for an account, while no agent runs; it asks for RET=HDRS
// and NOTIFY=NEVER (RFC 3461).
func submit(t *testing.T, dataDir, user string, accounts ...string) {
	t.Helper()
	s, err := mailstore.Open(t.Context(), filepath.Join(users.Folder(dataDir), user), mailstore.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range accounts {
		spooled, err := s.Spool(t.Context(), strings.NewReader("From: ann@example.com\r\nSubject: "+account+"\r\n\r\ntext\r\n"))
		if err == nil {
			_, _, err = s.Submit(t.Context(), mailstore.Submission{Message: spooled, Account: account, Device: "test", From: "ann@example.com", Recipients: []string{account + "@example.com"},
				DSN: map[string]string{"": "RET=HDRS", account + "@example.com": "NOTIFY=NEVER"}, MessageID: "<" + rand.Text() + "@example.com>"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Of mail that leaves by no account it is said why, and what to do; nobody is told that it
// is tried.
func TestOutboxOfAnAccountThatIsGone(t *testing.T) {
	r := twoUsers(t)
	submit(t, r.Load().DataDir, "ann", "gone", "bob", "home")
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	list, err := r.Ops().Outbox(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, want := range []string{"there is no account gone any more", "account bob is that of user bob now", "the outgoing server of account home is not known"} {
		m := list[i]
		if !strings.Contains(m.Error, want) || !m.OfAccount || m.Next != nil {
			t.Errorf("%s: %q, next %v", m.Account, m.Error, m.Next)
		}
		done, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", IDs: []int64{m.ID}, Do: "retry"})
		if err != nil || !strings.Contains(done[0].Error, want) || done[0].Hint == "" {
			t.Errorf("retry of %s: %+v, %v", m.Account, done, err)
		}
	}
	if c := r.Codes(); strings.Count(c, "send-no-account") != 3 {
		t.Errorf("conditions %s", c)
	}
	done, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", IDs: []int64{list[0].ID, list[1].ID, 99, list[2].ID}, Do: "drop"})
	if err != nil || len(done) != 4 || done[0].Error+done[1].Error+done[3].Error != "" || done[2].ID != 99 || done[2].Kind != fault.NotFound.String() {
		t.Errorf("%+v, %v", done, err)
	}
	if c := r.Codes(); strings.Contains(c, "send-") {
		t.Errorf("conditions after all were dropped %s", c)
	}
	if done, err = r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", IDs: []int64{99}, Do: "retry"}); err != nil || done[0].Kind != fault.NotFound.String() {
		t.Errorf("retry of none: %+v, %v", done, err)
	}
	if _, err = r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", Do: "send"}); !fault.Is(err, fault.Config) {
		t.Errorf("%v", err)
	}
}

// A restore says that it holds what waited to be sent.
func TestRestoreTellsOfHeldMail(t *testing.T) {
	r := twoUsers(t)
	cfg := r.Load()
	submit(t, cfg.DataDir, "ann", "home", "work")
	r.Agent = r.Open()
	backup := t.TempDir()
	_, err := r.Ops().Backup(t.Context(), backup, false, nil)
	if err = errors.Join(err, r.Agent.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(users.Folder(cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	done, err := operations.Restore(t.Context(), cfg, backup, operations.RestoreOptions{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]int{}
	for _, b := range done {
		held[b.User] = b.Held
	}
	if held["ann"] != 2 || held["bob"] != 0 {
		t.Errorf("held %v", held)
	}
}

// However many messages are tried again, a password that is refused is shown once for it.
func TestRetryOfManyIsOneLogin(t *testing.T) {
	refused := smtptest.Hello() + smtptest.LoginAnswer("535 5.7.8 no such password") + "@close\n"
	out := scripted.Listen(t, refused+"@connection\n"+refused, scripted.Lenient())
	r := newRig(t)
	_, port := agenttest.POP(t, "home", 0)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port,
		More: fmt.Sprintf("address = \"ann@example.com\"\n[account.send]\nhost = \"127.0.0.1\"\nport = %d\ntls = \"none\"", out.Port())})
	r.Agent = r.Open() // the mail that follows is not that of a restore
	r.Status()
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		submit(t, r.Load().DataDir, "ann", "home")
	}
	r.Start()
	next := func() (ids []int64, in time.Duration) {
		list, err := r.Ops().Outbox(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			ids, in = append(ids, m.ID), time.Until(*m.Next)
		}
		return ids, in
	}
	agenttest.Eventually(t, "the refusal", func() bool { return strings.Contains(r.Codes(), "send-auth") })
	ids, in := next()
	if len(ids) != 5 || in > 70*time.Second {
		t.Fatalf("%v, next in %v", ids, in)
	}
	done, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{IDs: ids, Do: "retry"})
	if err != nil || len(done) != 5 || done[4].Error != "" {
		t.Errorf("%+v, %v", done, err)
	}
	agenttest.Eventually(t, "the second refusal", func() bool { _, in = next(); return in > 90*time.Second })
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	if in > 3*time.Minute {
		t.Errorf("more logins were refused than two: the next is in %v", in)
	}
}
