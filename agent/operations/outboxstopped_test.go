package operations_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Where no agent runs, a message that waits has the error of its last attempt and no next
// one, and the condition that nothing runs says how many wait.
func TestOutboxWhileNothingRuns(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1,
		More: "address = \"ann@example.com\"\n[account.send]\nhost = \"127.0.0.1\"\nport = 2\ntls = \"none\""})
	dir := r.Load().DataDir
	r.Agent = r.Open() // the mail that follows is not that of a restore
	r.Status()
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	submit(t, dir, "ann", "home")
	const why = "451 4.3.0 try later"
	s, err := mailstore.Open(t.Context(), filepath.Join(users.Folder(dir), "ann"), mailstore.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	queue, err := s.Outgoing(t.Context())
	if err == nil {
		err = s.Attempted(t.Context(), queue[0].ID, mailstore.Attempt{Counts: true, Error: why, Next: time.Now().Add(time.Minute)})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	list, err := r.Ops().Outbox(t.Context())
	if err != nil || len(list) != 1 || list[0].State != "waiting" || list[0].Error != why || list[0].OfAccount || list[0].Attempts != 1 || list[0].Next != nil {
		t.Errorf("%+v, %v", list, err)
	}
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}

	// What the account rested for comes first, as while an agent runs.
	const refused = "the server refused the password"
	if s, err = mailstore.Open(t.Context(), filepath.Join(users.Folder(dir), "ann"), mailstore.Options{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetSendingMemory(t.Context(), "home", `{"error":"`+refused+`"}`), s.Close()); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	if list, err = r.Ops().Outbox(t.Context()); err != nil || len(list) != 1 || list[0].Error != refused || !list[0].OfAccount {
		t.Errorf("%+v, %v", list, err)
	}
	if c := r.Condition("agent-not-running"); !strings.Contains(c.Text, "not yet sent: 1 message") {
		t.Errorf("%+v", c)
	}
}
