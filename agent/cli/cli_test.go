package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestExitCodesAndMessages(t *testing.T) {
	auth := fault.New(fault.Auth, "home: password refused", "check it")
	tests := []struct {
		name string
		err  error
		code int
		want string
	}{
		{"success", nil, 0, ""},
		{"failure", errors.New("it broke"), 1, "error: it broke\n"},
		{"failure with a hint", fmt.Errorf("sync: %w", auth), 1, "error: sync: home: password refused\nhint: check it\n"},
		{"usage", fault.New(fault.Config, "unknown flag", "see --help"), 2, "error: unknown flag\nhint: see --help\n"},
		{"config", &config.Errors{File: "c.toml", Problems: []config.Problem{
			{Line: 3, Key: "imap.tls", Text: "is wrong", Hint: "mend it"}, {Text: "is empty"}}}, 2,
			"error: c.toml:3: imap.tls: is wrong\nhint: mend it\nerror: c.toml: is empty\n"},
		{"all failed", &failures{errs: []error{auth, errors.New("work: gone")}}, 1,
			"error: home: password refused\nhint: check it\nerror: work: gone\n"},
		{"some failed", &failures{errs: []error{auth}, part: true}, 3, "error: home: password refused\nhint: check it\n"},
		{"a kind inside decides nothing", &failures{errs: []error{fault.New(fault.Config, "home: no host", "")}}, 1, "error: home: no host\n"},
		{"Ctrl-C", fmt.Errorf("poll: %w", context.Canceled), 1, "error: interrupted\n"},
		{"several lines", errors.New("one\ntwo"), 1, "error: one\n  two\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			a := newApp(nil, nil, &stderr)
			if code := a.exit(tt.err); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.want, stderr.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// SIGTERM or Ctrl-C stops the agent with exit code 0 at any moment; what has to
// come to an end is interrupted.
func TestStoppedBeforeItBegan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("data_dir = 'data'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for command, code := range map[string]int{"run": exitDone, "demo": exitDone, "demo --once": exitFailed, "sync": exitFailed, "check": exitFailed} {
		a := newApp(nil, io.Discard, io.Discard)
		root := a.newRootCommand()
		root.SetArgs(append(strings.Fields(command), "--config", path))
		if got := a.exit(root.ExecuteContext(ctx)); got != code {
			t.Errorf("%s: exit code %d, want %d", command, got, code)
		}
	}
}

// Every command shows how it is used by an example.
func TestEveryCommandHasAnExample(t *testing.T) {
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		if !c.HasSubCommands() && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
	look((&app{}).newRootCommand())
}

func TestStatusForAPerson(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	before, after, stored := now.Add(-2*time.Minute), now.Add(3*time.Minute+30*time.Second), now.Add(-31*24*time.Hour)
	s := operations.Status{Running: true, PID: 123, DataDir: "/data", Listen: []string{"127.0.0.1:1143"}, Clients: 2,
		Accounts: []operations.Account{
			{Name: "home", State: "idle", LastSuccess: &before, NextPoll: &after, Stored: 5012, OnServer: 12, DeletionsTotal: 1,
				Deletions: []operations.Deletion{{UIDL: "u1", Size: 5300, StoredAt: &stored, From: "Bo <bo@x.org>", Subject: "An\x1boffer", Reason: "too old"}}},
			{Name: "work", State: "backoff", LastError: "password refused", Problems: []string{"message 3: try later"},
				Awaiting: 40, DeletionsTotal: 40, Deletions: slices.Repeat([]operations.Deletion{{UIDL: "u2", StoredAt: &stored, Reason: "not new"}}, 25),
				Notes: []string{"it gives no ids"}, Expire: "the server keeps mail for 7 days"},
		},
		Health: []health.Condition{{Code: "account-auth", Severity: health.Error, Text: "account work: password refused", Hint: "check it"}},
	}
	want := `no mail comes from work (the last poll that went through: never): password refused

agent  running as process 123
imap   127.0.0.1:1143, 2 clients connected
data   /data

ACCOUNT  STATE    STORED  ON SERVER  LAST SUCCESS  NEXT POLL
home     idle     5012    12         2 min ago     in 3 min
work     backoff  0       -          never         -
home: 1 message on the server will be deleted at the next poll:
  Bo <bo@x.org>, An offer, 5.3 KB, stored 31 days ago: too old
work: a message waits: message 3: try later
work: it gives no ids
work: 40 messages on the server would be deleted once that is confirmed:
` + strings.Repeat("  u2, 0 B, stored 31 days ago: not new\n", 10) +
		"  and 30 more; `popbridge sync --dry-run --json work` shows all\n" + `work: the server keeps mail for 7 days

HEALTH
error  account-auth  account work: password refused
  hint: check it
`
	var out bytes.Buffer
	if err := (&app{stdout: &out, configPath: config.DefaultPath()}).printStatus(s, nil, nil, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPreviewForAPerson(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	stored := now.Add(-31 * 24 * time.Hour)
	p := operations.Preview{Account: "home", Preview: bridge.Preview{Fetch: 1, Kept: 3, Policy: "keep_on_server = 30d"}}
	a := &app{configPath: config.DefaultPath()}
	check := func(want string) {
		t.Helper()
		if diff := cmp.Diff(want, a.previewText(p, now)); diff != "" {
			t.Error(diff)
		}
	}
	check("home: 1 to fetch, 0 to delete on the server, 3 to keep there (keep_on_server = 30d)\n")
	p.Delete = []operations.Deletion{{UIDL: "a\x1b1", Date: &stored, Subject: "A", Size: 5300, StoredAt: &stored, Reason: "stored 31 days ago"}, {UIDL: "b", Reason: "stored here"}}
	want := "home: 1 to fetch, 2 to delete on the server, 3 to keep there (keep_on_server = 30d)\n" +
		"  " + stored.Local().Format("2006-01-02 15:04") + ", A, 5.3 KB, stored 31 days ago: stored 31 days ago\n  b, 0 B, stored in the same poll: stored here\n"
	check(want)
	p.NeedsConfirm = true
	_, list, _ := strings.Cut(want, "\n")
	check(want + "  Nothing of this is deleted before: popbridge account confirm home\n")
	p.Shadow = true
	check("home: 1 to fetch, 0 to delete on the server, 5 to keep there (shadow = true; by keep_on_server = 30d it would be 2)\n" +
		list + "  Nothing of this is deleted: shadow = true.\n")
	for len(p.Delete) < 15 {
		p.Delete = append(p.Delete, p.Delete[1])
	}
	if got := a.previewText(p, now); strings.Count(got, "\n") != 1+shownDeletions+2 || !strings.Contains(got, "\n  and 5 more; --json shows all\n") {
		t.Errorf("a long list:\n%s", got)
	}
}

func TestTextsOfUndelete(t *testing.T) {
	for text, want := range map[string]time.Duration{"30m": 30 * time.Minute, "2d": 48 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := readSince(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0d", "-1h", "yesterday", "d", "99999d", "1y"} {
		if got, err := readSince(text); !fault.Is(err, fault.Config) || fault.Hint(err) == "" {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"short": "short", "exactly ten": "exactly t…", "a\x1b[31m\tb": "a [31m b", "Grüße an alle": "Grüße an …"} {
		if got := shorten(text, 10); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 KB", 2_000_000: "2.0 MB", 3_210_000_000: "3.2 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	tests := []struct {
		after time.Duration
		want  string
	}{
		{0, "now"}, {-900 * time.Millisecond, "now"}, {-5 * time.Second, "5 s ago"}, {-90 * time.Minute, "1 h ago"},
		{-72 * time.Hour, "3 days ago"}, {30 * time.Second, "in 30 s"}, {5 * time.Minute, "in 5 min"},
	}
	for _, tt := range tests {
		at := now.Add(tt.after)
		if got := when(&at, now, "never"); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.after, got, tt.want)
		}
	}
	if got := when(nil, now, "never"); got != "never" {
		t.Errorf("no time: %q", got)
	}
}

func TestReadPassword(t *testing.T) {
	tests := []struct {
		in, want string
		ok       bool
	}{
		{"secret\n", "secret", true}, {"secret\r\n", "secret", true}, {"secret", "secret", true},
		{" with spaces \n", " with spaces ", true}, {"pä€\n", "pä€", true}, {"\xff\xfep\x00 \x00\r\x00\n\x00", "p ", true}, {"\ufeffp", "p", true}, {strings.Repeat("x", 1000) + "\r\n", strings.Repeat("x", 1000), true},
		{"", "", false}, {"\n", "", false}, {"two\nlines\n", "", false}, {"a\x00b", "", false}, {strings.Repeat("x", 1001), "", false},
	}
	for _, tt := range tests {
		got, err := readPassword(strings.NewReader(tt.in), 1000, "one line")
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("readPassword(%.20q) = %q, %v", tt.in, got, err)
		}
		if err != nil && (!fault.Is(err, fault.Config) || fault.Hint(err) == "") {
			t.Errorf("readPassword(%.20q): %v is no usage error with a hint", tt.in, err)
		}
	}
}

func TestBarsShowMessagesBytesAndPhases(t *testing.T) {
	var out bytes.Buffer
	b := &bars{byName: map[string]*bar{}, container: mpb.New(mpb.WithOutput(&out), mpb.WithAutoRefresh(), mpb.WithWidth(40)), stop: func() bool { return true }}
	b.show(operations.Progress{Progress: bridge.Progress{Account: "home", Phase: "connecting"}})
	b.show(operations.Progress{Progress: bridge.Progress{Account: "home", Phase: "fetching", Messages: 3, TotalMessages: 10, Bytes: 3000, TotalBytes: 10_000}})
	b.show(operations.Progress{Progress: bridge.Progress{Account: "work", Phase: "connecting"}})
	b.show(operations.Progress{Progress: bridge.Progress{Account: "home", Phase: "done", Messages: 10, TotalMessages: 10, Bytes: 10_000, TotalBytes: 10_000, Done: true}})
	b.end()
	for _, want := range []string{"home", "10/10", "10.0 KB / 10.0 KB", "work", "connecting"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not on the screen:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "0.0 b") {
		t.Errorf("bytes are shown before they are known:\n%s", out.String())
	}
}

func TestNoBarsOutsideOfATerminal(t *testing.T) {
	var out bytes.Buffer
	a := newApp(nil, nil, &out)
	b := a.newBars(t.Context())
	b.show(operations.Progress{Progress: bridge.Progress{Account: "home", TotalMessages: 10}})
	b.end()
	if out.Len() > 0 {
		t.Errorf("got %q", out.String())
	}
}

// TestStatusBeginsInPlainWords: whether mail flows, for whom not, since when, why.
func TestStatusBeginsInPlainWords(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	ago := now.Add(-3 * time.Hour)
	well := operations.Account{Name: "home", State: "idle", LastSuccess: &ago}
	bad := operations.Account{Name: "work", State: "backoff", LastSuccess: &ago, LastError: "no\nanswer"}
	badly := health.Account("work", errors.New("no\nanswer"), 0)
	busy := health.IMAP(fault.New(fault.Conflict, "port 1143 is in use", ""))
	invalid := []health.Condition{health.ConfigInvalid(errors.New("line 3: a\nline 4: b"), "check")}
	warning := []health.Condition{health.RestartNeeded([]string{"data_dir"})}
	offline := health.Sending("home", "me", fault.New(fault.Temporary, "no connection", ""), "")
	refused := health.Sending("home", "me", fault.New(fault.Auth, "wrong password", ""), "")
	held := []health.Condition{health.SendHeld("me", 2, "list")}
	for _, tt := range []struct {
		s    operations.Status
		want string
	}{
		{operations.Status{Running: true, Accounts: []operations.Account{well}}, "mail is flowing\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well, bad}}, "no mail comes from work (the last poll that went through: 3 h ago): no answer\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well, bad}, Health: badly}, "no mail comes from work (the last poll that went through: 3 h ago): no answer\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: busy}, "mail programs cannot connect, mail is fetched all the same: port 1143 is in use\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: invalid}, "the changed config has errors; the old one stays in force: line 3: a\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: warning}, "mail is flowing; 1 warning below\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: offline}, "account home: what it sends waits: no connection\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: refused}, "account home: what it sends waits: wrong password\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: health.SMTP(errors.New("port 1587"))}, "mail programs cannot send through popbridge: port 1587\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{well}, Health: held}, "user me: held in the Outbox since the mail was restored or moved, as it may have been sent before: 2 messages\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{{Name: "home", State: "paused"}}}, "mail from home does not come: it is paused\n\n"},
		{operations.Status{Running: true, Accounts: []operations.Account{{Name: "home"}}}, "waiting for the first answer of a server\n\n"},
		{operations.Status{Running: true}, "no mail is fetched: there is no account\n\n"},
		{operations.Status{Accounts: []operations.Account{bad}}, "no mail is fetched: no agent is running\nno mail comes from work (the last poll that went through: 3 h ago): no answer\n\n"},
	} {
		if got := mailText(tt.s, now); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
