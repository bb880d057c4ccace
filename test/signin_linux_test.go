package test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// A signing is a popbridge whose provider takes tokens only: an authorisation server, a
// Dovecot that asks it about each token, and a Postfix that asks the Dovecot.
type signing struct {
	*rig.Popbridge
	provider *oauthtest.Server
	dovecot  *rig.Dovecot
	postfix  *rig.Postfix
	ca       *testkit.TLS
}

// newSigning starts no agent yet. Account "work" of Ann is signed in by [oauth.own].
func newSigning(t *testing.T, settings ...string) *signing {
	rig.Need(t, "dovecot", "postfix")
	rig.NeedRoot(t)
	s := &signing{provider: oauthtest.New(t), ca: testkit.CA(t)}
	ctx := context.WithoutCancel(t.Context())
	var err error
	s.dovecot, err = rig.StartDovecot(ctx, s.ca.CertFile, s.ca.KeyFile, append([]string{rig.PostfixAuth, s.provider.Dovecot(t)}, settings...)...)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dovecot: %s", tail(s.dovecot.Log()))
		}
		must(t, s.dovecot.Stop())
	})
	s.postfix, err = rig.StartPostfix(ctx, s.dovecot, []string{"ann", "bob"})
	must(t, err)
	t.Cleanup(func() { must(t, s.postfix.Stop()) })
	s.Popbridge, err = rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	must(t, s.ServeSMTP())
	s.OAuth = fmt.Sprintf("[oauth.own]\nclient_id = %q\nauthorize_url = %q\ntoken_url = %q\ndevice_url = %q\nscopes = [%q, %q, \"offline_access\"]\n",
		oauthtest.ClientID, s.provider.URL+"/authorize", s.provider.URL+"/token", s.provider.URL+"/devicecode", oauthtest.ScopePOP, oauthtest.ScopeSMTP)
	must(t, s.Configure(s.account("work")))
	must(t, s.AddDevice(t.Context(), localUser, "desktop", devicePw))
	t.Cleanup(func() {
		if err := s.Stop(); err != nil || t.Failed() {
			t.Errorf("%v\n%s", err, tail(s.Log()))
		}
	})
	return s
}

// account is one of Ann that is signed in.
func (s *signing) account(name string) rig.Account {
	return rig.Account{Name: name, Host: "127.0.0.1", Port: s.dovecot.POP3S, TLS: "implicit", CAFile: s.ca.CAFile, Username: "ann", OAuth: "own", User: localUser,
		PollEvery: "1h", Address: "ann@example.org", SendHost: "127.0.0.1", SendPort: s.postfix.SMTPS, SendTLS: "implicit"}
}

// A signInCommand is `account signin` that waits for a person.
type signInCommand struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
	out    strings.Builder
	stderr bytes.Buffer
	at     string // what it prints for the browser
}

// begin runs `account signin work`, or another command, up to the address that it prints.
func (s *signing) begin(t *testing.T, args ...string) *signInCommand {
	t.Helper()
	if args == nil {
		args = []string{"account", "signin", "work", "--no-browser"}
	}
	b := &signInCommand{cmd: s.Command(t.Context(), args...)}
	b.cmd.Env = append(b.cmd.Env, "DISPLAY=", "WAYLAND_DISPLAY=", "WSL_DISTRO_NAME=")
	b.cmd.Stderr = &b.stderr
	stdout, err := b.cmd.StdoutPipe()
	must(t, err)
	b.stdin, err = b.cmd.StdinPipe()
	must(t, err)
	must(t, b.cmd.Start())
	b.lines = bufio.NewScanner(stdout)
	for b.at == "" && b.lines.Scan() {
		b.out.WriteString(b.lines.Text() + "\n")
		if line := strings.TrimSpace(b.lines.Text()); strings.HasPrefix(line, "http://") {
			b.at = line
		}
	}
	if b.at == "" {
		t.Fatalf("no address: %v\n%s%s", b.cmd.Wait(), &b.out, &b.stderr)
	}
	return b
}

// end waits for the command, and returns what it said.
func (b *signInCommand) end(t *testing.T, code int) string {
	t.Helper()
	for b.lines.Scan() {
		b.out.WriteString(b.lines.Text() + "\n")
	}
	_ = b.cmd.Wait()
	said := b.out.String() + b.stderr.String()
	if got := b.cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit %d, want %d\n%s", got, code, said)
	}
	return said
}

// signIn signs the account in as a user of the provider.
func (s *signing) signIn(t *testing.T, user string, code int) string {
	t.Helper()
	b := s.begin(t)
	must(t, s.provider.Browse(b.at, user))
	return b.end(t, code)
}

func says(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said:\n%s", want, text)
		}
	}
}

func letter(subject string) []byte {
	return []byte("From: bob@example.org\r\nSubject: " + subject + "\r\nMessage-ID: <" + subject + "@example.org>\r\n\r\nhello\r\n")
}

// tokenFile is the file with the tokens of Ann.
func (s *signing) tokenFile(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Data, "tokens", "*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("token files: %v", files)
	}
	return files[0]
}

// An account is signed in without an agent, and with one, which goes on with it at once.
func TestSignsIn(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	must(t, s.dovecot.Put("ann", letter("one")))
	out := command(t, s.Popbridge, 1, "sync")
	says(t, out.Stderr, "it is not signed in yet", "account signin work")

	says(t, s.signIn(t, "ann", 0), "account work is signed in", "fetching   the server has 1 message", "sending    the outgoing server takes mail")
	command(t, s.Popbridge, 0, "sync")
	info, err := os.Stat(s.tokenFile(t))
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
	says(t, command(t, s.Popbridge, 0, "account", "test", "work").Stdout, "work: logged in")

	must(t, os.Remove(s.tokenFile(t)))
	start(t, s.Popbridge)
	s.condition(t, "signin-needed", true)
	must(t, s.dovecot.Put("ann", letter("two")))
	says(t, s.signIn(t, "ann", 0), "fetching   the server has 2 messages")
	s.stored(t, 2)
	s.condition(t, "signin-needed", false)
	if n := s.provider.Refreshes(); n != 0 {
		t.Errorf("%d refreshes", n)
	}
}

// condition waits until a condition is there, or is not.
func (s *signing) condition(t *testing.T, code string, there bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s: %v", code, there), func() (bool, error) {
		st, err := s.Status(t.Context())
		found := false
		for _, c := range st.Health {
			found = found || c.Code == code
		}
		return found == there, err
	})
}

// stored waits until the account has fetched so many messages.
func (s *signing) stored(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages", n), func() (bool, error) {
		st, err := s.Status(t.Context())
		return err == nil && len(st.Accounts) > 0 && st.Accounts[0].Stored == n, err
	})
}
