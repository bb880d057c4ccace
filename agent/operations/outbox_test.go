package operations_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// submit queues a message of a user for an account, while no agent runs.
func submit(t *testing.T, dataDir, user string, accounts ...string) {
	t.Helper()
	s, err := mailstore.Open(t.Context(), filepath.Join(users.Folder(dataDir), user), mailstore.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range accounts {
		spooled, err := s.Spool(t.Context(), strings.NewReader("From: ann@example.com\r\nSubject: "+account+"\r\n\r\ntext\r\n"))
		if err == nil {
			_, _, err = s.Submit(t.Context(), mailstore.Submission{Message: spooled, Account: account, Device: "test", From: "ann@example.com", Recipients: []string{account + "@example.com"}, MessageID: "<" + account + "@example.com>"})
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
		_, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", ID: m.ID, Do: "retry"})
		if err == nil || !strings.Contains(err.Error(), want) || fault.Hint(err) == "" {
			t.Errorf("retry of %s: %v", m.Account, err)
		}
	}
	if c := r.Codes(); strings.Count(c, "send-no-account") != 3 {
		t.Errorf("conditions %s", c)
	}
	for _, m := range list {
		if _, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", ID: m.ID, Do: "drop"}); err != nil {
			t.Error(err)
		}
	}
	if c := r.Codes(); strings.Contains(c, "send-") {
		t.Errorf("conditions after all were dropped %s", c)
	}
	if _, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", ID: 99, Do: "retry"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("retry of none: %v", err)
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
