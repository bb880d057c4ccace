package agent

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// opening is what a session begins with.
const opening = `
S: +OK
C: CAPA
S: +OK
S: UIDL
S: .
C~ USER .*
S: +OK
C~ PASS .*
S: +OK
C: CAPA
S: +OK
S: UIDL
S: .
`

// A message that the server does not give is named in the status with the
// reason, is a condition, and the others are there; it is said again by an
// agent that only looks.
func TestAPoisonedMessageIsNamed(t *testing.T) {
	t.Parallel()
	pop := scripted.Listen(t, opening+`C: STAT
S: +OK 2 20
C: LIST
S: +OK
S: 1 10
S: 2 10
S: .
C: UIDL
S: +OK
S: 1 a
S: 2 b
S: .
C: RETR 1
S: -ERR this message is haunted, try again later
C: RETR 2
S: +OK
S: A: b
S:
S: c
S: .
C: UIDL 1
S: +OK 1 a
C: QUIT
S: +OK
`)
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: pop.Port()})
	for _, again := range []bool{false, true} {
		r.Agent = r.Open()
		if !again {
			if results, err := r.Ops().Sync(t.Context(), nil, nil); err != nil || results[0].Problems != 1 ||
				len(results[0].Left) != 1 || !strings.Contains(results[0].Left[0], "haunted") {
				t.Errorf("sync: %+v, %v", results, err)
			}
		}
		s := r.Status()
		if a := s.Accounts[0]; a.Stored != 1 || len(a.Problems) != 1 || !strings.Contains(a.Problems[0], "haunted") {
			t.Errorf("status %+v", a)
		}
		if !strings.Contains(r.Codes(), "account-messages") {
			t.Errorf("conditions %s", r.Codes())
		}
		if err := r.Agent.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A message of which little came is stored and is no problem; `sync` and a
// condition name it.
func TestAnIncompleteMessageIsNamed(t *testing.T) {
	t.Parallel()
	pop := scripted.Listen(t, opening+`C: STAT
S: +OK 1 50000
C: LIST
S: +OK
S: 1 50000
S: .
C: UIDL
S: +OK
S: 1 a
S: .
C: RETR 1
S: +OK
S: A: b
S:
S: c
S: .
C: UIDL 1
S: +OK 1 a
C: QUIT
S: +OK
`)
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: pop.Port()})
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	if results, err := r.Ops().Sync(t.Context(), nil, nil); err != nil || results[0].New != 1 || results[0].Problems != 0 || results[0].Incomplete != 1 {
		t.Errorf("sync: %+v, %v", results, err)
	}
	if c := r.Condition("messages-incomplete"); !strings.Contains(c.Text, "of 1 message less came") || !strings.Contains(c.Hint, "account confirm --incomplete home") {
		t.Errorf("condition %+v", c)
	}
}
