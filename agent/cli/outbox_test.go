package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/internal/mailstore"
)

const sendingConfig = `version = 1
data_dir = "data"
[[account]]
name = "home"
host = "127.0.0.1"
port = 1
tls = "none"
username = "ann@example.com"
password_file = "password"
address = "ann@example.com"
[account.send]
host = "127.0.0.1"
port = 2
tls = "none"
`

// sendingApp is the command line of a config that sends, whose mail is that of no restore;
// what it prints is in out.
func sendingApp(t *testing.T, accounts string) (a *app, out *bytes.Buffer, store func() *mailstore.Store) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	out = new(bytes.Buffer)
	a = newApp(nil, out, new(bytes.Buffer))
	a.configPath = filepath.Join(dir, "config.toml")
	if err := os.WriteFile(a.configPath, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.listOutbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	return a, out, func() *mailstore.Store {
		s, err := mailstore.Open(t.Context(), filepath.Join(users.Folder(filepath.Join(dir, "data")), "me"), mailstore.Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func submitTo(t *testing.T, s *mailstore.Store, account, id string) mailstore.OutgoingID {
	spooled, err := s.Spool(t.Context(), strings.NewReader("Subject: hi\r\n\r\ntext\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]string{"home": "ann@example.com", "work": "ann.work@example.com"}[account]
	n, _, err := s.Submit(t.Context(), mailstore.Submission{Message: spooled, Account: account, Device: "test", From: from, Recipients: []string{"bob@example.com"}, MessageID: id})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Several messages are decided about at once, and all that wait are tried; what a person
// has held or has to decide about has to be named.
func TestDecideAboutSeveral(t *testing.T) {
	a, out, store := sendingApp(t, sendingConfig+strings.NewReplacer(`"home"`, `"work"`, "ann@", "ann.work@").Replace(sendingConfig[strings.Index(sendingConfig, "[[account]]"):]))
	s := store()
	var ids []string
	for _, account := range []string{"home", "home", "work", "work"} {
		ids = append(ids, fmt.Sprint(submitTo(t, s, account, fmt.Sprintf("<%d@example.com>", len(ids)))))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	decide := func(d outgoingChoice, args ...string) (string, error) {
		out.Reset()
		err := a.decideOutgoing(t.Context(), d, args)
		return out.String(), err
	}
	if got, err := decide(outgoingChoice{do: "hold", done: "is held"}, ids[1], ids[3]); err != nil || strings.Count(got, " is held\n") != 2 {
		t.Errorf("%s, %v", got, err)
	}
	later := " is tried once popbridge runs: popbridge run"
	got, err := decide(outgoingChoice{do: "retry", all: true})
	if err != nil || !strings.Contains(got, "message "+ids[0]+later) || !strings.Contains(got, "message "+ids[2]+later) || strings.Count(got, later) != 2 || !strings.Contains(got, "not tried, for you to decide about: 2 messages") {
		t.Errorf("%s, %v", got, err)
	}
	if got, err = decide(outgoingChoice{do: "retry", account: "WORK"}); err != nil || strings.Count(got, later) != 1 || !strings.Contains(got, "message "+ids[2]+later) {
		t.Errorf("%s, %v", got, err)
	}
	if got, err = decide(outgoingChoice{do: "drop", done: "is not sent"}, ids[0], "99"); a.exit(err) != exitPart || !strings.Contains(got, "message "+ids[0]+" is not sent") || !strings.Contains(err.Error(), "message 99: ") {
		t.Errorf("%s, %v", got, err)
	}
	if got, err = decide(outgoingChoice{do: "retry", account: "home"}); err != nil || !strings.HasPrefix(got, "nothing waits to be tried\n") {
		t.Errorf("%s, %v", got, err)
	}
	for _, wrong := range []struct {
		d    outgoingChoice
		args []string
		code int
	}{{outgoingChoice{do: "retry"}, nil, exitUsage}, {outgoingChoice{do: "retry", all: true}, ids, exitUsage}, {outgoingChoice{do: "hold"}, []string{"x"}, exitUsage},
		{outgoingChoice{do: "retry", account: "gone"}, nil, exitFailed}, {outgoingChoice{do: "drop"}, []string{"99"}, exitFailed}} {
		if _, err := decide(wrong.d, wrong.args...); a.exit(err) != wrong.code {
			t.Errorf("%+v %v: %v", wrong.d, wrong.args, err)
		}
	}
}

// That nothing is sent while no agent runs is said once, however much waits.
func TestOutboxListWhileNothingRuns(t *testing.T) {
	a, out, store := sendingApp(t, sendingConfig)
	s := store()
	for _, id := range []string{"<1@example.com>", "<2@example.com>"} {
		submitTo(t, s, "home", id)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.listOutbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	out.Reset()
	if err := a.status(t.Context()); err != nil || !strings.Contains(out.String(), "outbox  2 messages not sent yet; all of them: `popbridge outbox") {
		t.Errorf("%s, %v", out, err)
	}
	out.Reset()
	a.json = true
	if err := a.status(t.Context()); err != nil || strings.Count(out.String(), `"subject": "hi"`) != 2 {
		t.Errorf("%s, %v", out, err)
	}
	if strings.Count(got, "popbridge is not running, so nothing is sent") != 1 || strings.Count(got, "waiting") != 2 || strings.Contains(got, "not known") {
		t.Error(got)
	}
	for _, line := range strings.Split(got, "\n") {
		if f := strings.Fields(line); len(f) > 5 && f[2] == "waiting" && !strings.Contains(line, " -  ") {
			t.Errorf("next: %q", line)
		}
	}
}

// What kept the account from its server is no try of the message.
func TestWhyUnsent(t *testing.T) {
	for want, m := range map[string]operations.OutboxMessage{
		"": {ID: 17},
		"17: it waits with all mail of account home: no connection to 127.0.0.1:2\n": {ID: 17, Account: "home", Error: "no connection to 127.0.0.1:2", OfAccount: true, Attempts: 2},
		"17: tried 1 time: 451 later\n":                                              {ID: 17, Account: "home", Error: "451 later", Attempts: 1},
		"17: 451 later\n":                                                            {ID: 17, Account: "home", Error: "451 later"}, // before a person asked for another try
	} {
		if got := whyUnsent(m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What does not leave by itself comes with the commands that decide about it.
func TestChoicesOf(t *testing.T) {
	a := newApp(nil, nil, nil)
	for state, want := range map[string]string{"waiting": "", "sending": "", "held": "popbridge outbox retry 17 … popbridge outbox drop 17", "refused": "popbridge outbox retry 17 … popbridge outbox drop 17",
		"unknown": "popbridge outbox sent 17 … popbridge outbox retry 17"} {
		got := a.choicesOf(operations.OutboxMessage{ID: 17, State: state})
		first, second, _ := strings.Cut(want, " … ")
		if (got == "") != (want == "") || !strings.Contains(got, first) || !strings.Contains(got, second) {
			t.Errorf("%s: %q", state, got)
		}
	}
}

// What waits is told with the time of the first try and why.
func TestStatusOfTheOutbox(t *testing.T) {
	now := time.Now()
	soon, later := now.Add(2*time.Minute), now.Add(time.Hour)
	got := (&app{}).outboxText([]operations.OutboxMessage{{ID: 1, State: "held"}, {ID: 2, Next: &later, Error: "no"}, {ID: 3, Next: &soon, Error: "451 4.7.1 greylisted\a"}}, now)
	if !strings.HasPrefix(got, "3 messages not sent yet, the next try in 2 min (451 4.7.1 greylisted") || strings.Contains(got, "\a") {
		t.Error(got)
	}
}
