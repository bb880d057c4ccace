package test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// oneMessage checks what a person sees on stderr: one error, what to do about
// it, and the words that matter; never a stack.
func oneMessage(t *testing.T, out rig.Output, words ...string) {
	t.Helper()
	if n := len(regexp.MustCompile(`(?m)^error: `).FindAllString(out.Stderr, -1)); n != 1 {
		t.Errorf("%d errors on stderr, want one:\n%s", n, out.Stderr)
	}
	if !regexp.MustCompile(`(?m)^hint: \S`).MatchString(out.Stderr) {
		t.Errorf("no hint on stderr:\n%s", out.Stderr)
	}
	if strings.Contains(out.Stderr, "goroutine ") || strings.Contains(out.Stderr, "panic") {
		t.Errorf("a crash on stderr:\n%s", out.Stderr)
	}
	for _, w := range words {
		if !strings.Contains(strings.ToLower(out.Stderr), strings.ToLower(w)) {
			t.Errorf("stderr does not say %q:\n%s", w, out.Stderr)
		}
	}
}

// unhealthy checks that status names the account's trouble and a hint.
func unhealthy(t *testing.T, p *rig.Popbridge, words ...string) {
	t.Helper()
	status, err := p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range status.Health {
		text := strings.ToLower(h.Text + " " + h.Hint)
		if h.Code != "" && h.Severity != "" && h.Text != "" && h.Hint != "" &&
			!slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, strings.ToLower(w)) }) {
			return
		}
	}
	t.Errorf("no health condition with a hint says %q: %+v", words, status.Health)
}

// healthy waits until no condition is left.
func healthy(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	eventually(t, "health conditions are cleared", func() (bool, error) {
		status, err := p.Status(t.Context())
		return err == nil && len(status.Health) == 0, fmt.Errorf("%+v, %w", status.Health, err)
	})
}

// serverWith is a Dovecot where home and work have n messages each.
func serverWith(t *testing.T, n int, ca *testkit.TLS) (*rig.Dovecot, [][]byte) {
	t.Helper()
	d := dovecot(t, ca)
	var messages [][]byte
	for i := range n {
		messages = append(messages, testkit.Message(i))
	}
	for _, name := range []string{"home", "work"} {
		if err := d.Put(name, messages...); err != nil {
			t.Fatal(err)
		}
	}
	return d, messages
}

// Each trouble meets the account "home" only: "work" goes on (invariant 5), the
// message is clear, and all is well once the cause is gone.
func TestAccountInTrouble(t *testing.T) {
	rig.Need(t, "dovecot")
	tests := []struct {
		name  string
		spoil func(a *rig.Account)
		words []string
	}{
		{"wrong password", func(a *rig.Account) { a.Password = "wrong" }, []string{"home", "password"}},
		{"unknown host", func(a *rig.Account) { a.Host = "pop.popbridge.invalid" }, []string{"home", "pop.popbridge.invalid"}},
		{"no one listens", func(a *rig.Account) { a.Port = 1 }, []string{"home", "127.0.0.1"}},
		{"refused certificate", func(a *rig.Account) { a.CAFile = "" }, []string{"home", "certificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ca := testkit.CA(t)
			d, messages := serverWith(t, 20, ca)
			home, work := account(d, "home"), account(d, "work")
			home.TLS, home.Port, home.CAFile, home.KeepOnServer = "implicit", d.POP3S, ca.CAFile, "never"
			work.Folder = "Work"
			spoiled := home
			tt.spoil(&spoiled)
			p := prepare(t, spoiled, work)

			// Without a running agent, then with one: the same answer.
			oneMessage(t, command(t, p, 3, "sync"), tt.words...)
			start(t, p)
			oneMessage(t, command(t, p, 3, "sync"), tt.words...)
			oneMessage(t, command(t, p, 1, "sync", "home"), tt.words...)
			unhealthy(t, p, tt.words...)
			compare(t, fetchAll(t, p, "Work"), messages)
			if n, err := d.Count("home"); err != nil || n != len(messages) {
				t.Errorf("%d messages are left on the server, want %d; %v", n, len(messages), err)
			}

			// The cause goes away while the agent runs.
			if err := p.Configure(home, work); err != nil {
				t.Fatal(err)
			}
			eventually(t, "home is polled again", func() (bool, error) {
				out, err := p.Run(t.Context(), "", "sync", "home")
				return err == nil && out.Code == 0, fmt.Errorf("%s %w", out.Stderr, err)
			})
			compare(t, fetchAll(t, p, "INBOX"), messages)
			healthy(t, p)
		})
	}
}

// The data folder is a small tmpfs: mail stops, nothing is lost, nothing is
// deleted at the source that isn't stored, and it goes on when there is room.
func TestFullDisk(t *testing.T) {
	rig.Need(t, "dovecot", "mount")
	d := dovecot(t, nil)
	var messages [][]byte
	for n := range 1000 {
		messages = append(messages, testkit.Message(n))
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	want, err := rig.Retrieve(rig.Addr(d.POP3), "home")
	if err != nil {
		t.Fatal(err)
	}
	a := account(d, "home")
	a.KeepOnServer = "never"
	p, err := rig.NewPopbridge(binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", p.Data).CombinedOutput(); err != nil {
		// Mounting needs a privilege that containers may withhold even from root.
		t.Skipf("no tmpfs can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", p.Data).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	if err := p.Configure(a); err != nil {
		t.Fatal(err)
	}
	if err := p.AddDevice(t.Context(), localUser, "test", devicePw); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("popbridge: %s", tail(p.Log()))
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})

	out, err := p.Run(t.Context(), "", "sync")
	if err != nil {
		t.Fatal(err)
	}
	if out.Code == 0 {
		t.Fatalf("sync says all is well on a full disk: %s", out.Stdout)
	}
	oneMessage(t, out, "disk")
	unhealthy(t, p, "disk")
	if status, err := p.Status(t.Context()); err != nil || len(status.Health) != 1 || status.Health[0].Code != "store-full" {
		t.Errorf("one cause is more than one condition: %+v, %v", status.Health, err)
	}
	refusedAppend(t, login(t, p, nil), 400_000, imap.ResponseCodeOverQuota)
	// What is not here is still there.
	here := len(fetchAll(t, p, "INBOX"))
	there, err := d.Count("home")
	if err != nil {
		t.Fatal(err)
	}
	if here+there < len(messages) {
		t.Fatalf("%d messages here and %d on the server: %d are lost", here, there, len(messages)-here-there)
	}
	if here == len(messages) {
		t.Fatal("all messages fit: the disk was never full")
	}
	t.Logf("full with %d messages here, %d on the server", here, there)

	if out, err := exec.Command("mount", "-o", "remount,size=256m", p.Data).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
	command(t, p, 0, "sync")
	compare(t, fetchAll(t, p, "INBOX"), want)
	healthy(t, p)
	if n, err := d.Count("home"); err != nil || n != 0 {
		t.Errorf("%d messages are left on the server; %v", n, err)
	}
	stop(t, p)
	command(t, p, 0, "check")
}

// refusedAppend checks that a client that appends a message of some lines is
// answered NO with a code.
func refusedAppend(t *testing.T, c *imapclient.Client, lines int, code imap.ResponseCode) {
	t.Helper()
	raw := append(testkit.Message(999), bytes.Repeat([]byte("one more line\r\n"), lines)...)
	cmd := c.Append("INBOX", int64(len(raw)), nil)
	_, err := cmd.Write(raw) // it may be refused before the message is sent
	if err == nil {
		must(t, cmd.Close())
		_, err = cmd.Wait()
	}
	if err == nil || !strings.Contains(err.Error(), string(code)) {
		t.Errorf("an APPEND was answered %v, want NO [%s]", err, code)
	}
}

// unused is an account no one answers; it needs no server.
func unused() rig.Account {
	return rig.Account{Name: "home", Host: "127.0.0.1", Port: 1, TLS: "none", Username: "u", Password: "p", PollEvery: "1h", User: localUser}
}

func TestSecondRunOnTheSameData(t *testing.T) {
	p := prepare(t, unused())
	start(t, p)
	out := command(t, p, 1, "run")
	oneMessage(t, out, p.Data)
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
}

func TestBusyIMAPPort(t *testing.T) {
	p := prepare(t, unused())
	ln, err := net.Listen("tcp", rig.Addr(p.Port))
	if err != nil {
		t.Fatal(err)
	}
	out := command(t, p, 1, "run")
	oneMessage(t, out, rig.Addr(p.Port))
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, p)
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
}

func TestConfigWithFiveMistakes(t *testing.T) {
	p := prepare(t, unused())
	text := `version = 1
data_dir = "` + filepath.ToSlash(p.Data) + `"
[imap]
listen = ["0.0.0.0:1143"]
tls = "sometimes"
[[account]]
name = "home"
host = "pop.example.com"
port = 99995
usrname = "ann@example.com"
keep_on_server = "30 days or so"
user = "ann"
`
	if err := os.WriteFile(p.ConfigFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"check-config", "run", "sync"} {
		out := command(t, p, 2, verb)
		for line, word := range map[int]string{4: "loopback", 5: "sometimes", 9: "port", 10: "usrname", 11: "keep_on_server"} {
			pattern := fmt.Sprintf(`(?m)config\.toml:%d.*%s`, line, regexp.QuoteMeta(word))
			if !regexp.MustCompile(pattern).MatchString(out.Stdout + out.Stderr) {
				t.Errorf("%s: nothing matches %s:\n%s%s", verb, pattern, out.Stdout, out.Stderr)
			}
		}
		for _, word := range []string{"error: ", "hint: "} {
			if n := strings.Count("\n"+out.Stderr, "\n"+word); n != 5 {
				t.Errorf("%s: %d lines begin with %q, want 5:\n%s", verb, n, word, out.Stderr)
			}
		}
	}
}

// A wrong config while running leaves the old one in force and says so.
func TestWrongConfigWhileRunning(t *testing.T) {
	p := prepare(t, unused())
	start(t, p)
	good, err := os.ReadFile(p.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.ConfigFile(), append(good, []byte("\n[nonsense]\n")...), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the wrong config is a health condition", func() (bool, error) {
		status, err := p.Status(t.Context())
		for _, h := range status.Health {
			if strings.Contains(h.Code, "config") {
				return true, nil
			}
		}
		return false, fmt.Errorf("%+v, %w", status.Health, err)
	})
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	if err := os.WriteFile(p.ConfigFile(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the condition is cleared", func() (bool, error) {
		status, err := p.Status(t.Context())
		for _, h := range status.Health {
			if strings.Contains(h.Code, "config") {
				return false, nil
			}
		}
		return err == nil, err
	})
}

func TestDemoOnce(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), binary, "demo", "--once").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
