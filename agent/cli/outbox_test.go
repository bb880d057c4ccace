package cli

import (
	"bytes"
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

// That nothing is sent while no agent runs is said once, however much waits.
func TestOutboxListWhileNothingRuns(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(sendingConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		var out, errs bytes.Buffer
		a := newApp(nil, &out, &errs)
		a.configPath = path
		if err := a.listOutbox(t.Context()); err != nil {
			t.Fatal(err, errs.String())
		}
		return out.String()
	}
	list() // the mail that follows is not that of a restore
	s, err := mailstore.Open(t.Context(), filepath.Join(users.Folder(filepath.Join(dir, "data")), "me"), mailstore.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"<1@example.com>", "<2@example.com>"} {
		spooled, err := s.Spool(t.Context(), strings.NewReader("Subject: hi\r\n\r\ntext\r\n"))
		if err == nil {
			_, _, err = s.Submit(t.Context(), mailstore.Submission{Message: spooled, Account: "home", Device: "test", From: "ann@example.com", Recipients: []string{"bob@example.com"}, MessageID: id})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := list()
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
