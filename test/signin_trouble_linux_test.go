package test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/smtp"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/test/rig"
)

// hand hands a message from Ann to Bob over.
func (s *signing) hand(t *testing.T, subject string) {
	t.Helper()
	must(t, rig.WaitPort(t.Context(), s.SMTP, nil))
	text := fmt.Sprintf("From: ann@example.org\r\nTo: bob@example.org\r\nSubject: %s\r\n\r\nhello\r\n", subject)
	must(t, smtp.SendMail(rig.Addr(s.SMTP), smtp.PlainAuth("", localUser, devicePw, "127.0.0.1"), "ann@example.org", []string{"bob@example.org"}, []byte(text)))
}

// arrived waits for the n-th message of Bob.
func (s *signing) arrived(t *testing.T, n int) {
	t.Helper()
	if _, err := rig.WaitMail(t.Context(), s.dovecot, "bob", n); err != nil {
		out, _ := s.Run(t.Context(), "", "outbox", "list")
		t.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
}

// What lets into a mailbox is in no backup, report or log, nor is what it was got with.
func TestTokensAreInNoBackup(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	s.signIn(t, "ann", 0)
	text, err := os.ReadFile(s.tokenFile(t))
	must(t, err)
	var r map[string]any
	must(t, json.Unmarshal(text, &r))
	start(t, s.Popbridge)
	s.stored(t, 0)
	dir := t.TempDir()
	command(t, s.Popbridge, 0, "backup", filepath.Join(dir, "backup"))
	command(t, s.Popbridge, 0, "report", "--out", filepath.Join(dir, "report.zip"))
	must(t, os.WriteFile(filepath.Join(dir, "log"), []byte(s.Log()), 0o600))
	report, err := zip.OpenReader(filepath.Join(dir, "report.zip"))
	must(t, err)
	must(t, os.CopyFS(filepath.Join(dir, "report"), report))
	must(t, report.Close())
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, secret := range []any{r["access"], r["refresh"]} {
			if bytes.Contains(content, []byte(secret.(string))) {
				t.Errorf("%s has a token", path)
			}
		}
		return err
	}))
	if files < 8 {
		t.Errorf("%d files were looked at", files)
	}
}

// A cutter is on the way to a server, and cuts the first connection after so many octets.
type cutter struct {
	net.Listener
	wg  sync.WaitGroup
	cut func() // is called before it does
}

func cutting(t *testing.T, port int, after int64, cut func()) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{Listener: ln, cut: cut}
	c.wg.Go(func() {
		for first := true; ; first = false {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", rig.Addr(port))
			if err != nil {
				_ = near.Close()
				continue
			}
			c.wg.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
			c.wg.Go(func() {
				if first {
					_, _ = io.CopyN(near, far, after)
					c.cut()
				} else {
					_, _ = io.Copy(near, far)
				}
				_, _ = near.Close(), far.Close()
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); c.wg.Wait() })
	return c
}

// The provider ends a token before its time: in the middle of a poll, between two, and
// before a message is sent. It is renewed, and nobody hears of it.
func TestATokenEndsEarly(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	for i := range 20 {
		must(t, s.dovecot.Put("ann", append(toAnn(fmt.Sprintf("m%d", i)), bytes.Repeat([]byte("0123456789\r\n"), 1000)...)))
	}
	s.signIn(t, "ann", 0)
	line := cutting(t, s.dovecot.POP3S, 60_000, func() { s.provider.RevokeAccess("ann") })
	through := s.account("work")
	through.Port = line.Addr().(*net.TCPAddr).Port
	must(t, s.Configure(through))
	start(t, s.Popbridge)
	s.stored(t, 20)
	if n := s.provider.Refreshes(); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	s.provider.RevokeAccess("ann")
	must(t, s.dovecot.Put("ann", toAnn("last")))
	command(t, s.Popbridge, 0, "sync")
	s.stored(t, 21)
	s.provider.RevokeAccess("ann")
	s.hand(t, "sent")
	s.arrived(t, 1)
	if n := s.provider.Refreshes(); n != 3 {
		t.Errorf("%d refreshes, want 3", n)
	}
	if st, err := s.Status(t.Context()); err != nil || len(st.Health) > 0 {
		t.Errorf("%+v, %v", st.Health, err)
	}
}

// second is another account of the same identity: the same mailbox by another way.
func (s *signing) second() rig.Account {
	a := s.account("second")
	a.Port, a.TLS, a.CAFile, a.Folder, a.Address = s.dovecot.POP3, "none", "", "Second", "ann.second@example.org"
	return a
}

func (s *signing) bothStored(t *testing.T, n int) {
	t.Helper()
	eventually(t, "both have polled", func() (bool, error) {
		st, err := s.Status(t.Context())
		return err == nil && len(st.Accounts) == 2 && st.Accounts[0].Stored == n && st.Accounts[1].Stored == n, err
	})
}

// Two accounts of one identity have one token, and one refresh when it has expired.
func TestTwoAccountsOneIdentity(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	must(t, s.dovecot.Put("ann", toAnn("one")))
	must(t, s.Configure(s.account("work"), s.second()))
	s.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate, v.Lifetime = true, time.Second })
	says(t, s.signIn(t, "ann", 0), "fetching   the server has 1 message")
	before := s.provider.Refreshes()
	s.provider.Change(func(v *oauthtest.Behaviour) { v.Lifetime = time.Hour })
	start(t, s.Popbridge)
	s.bothStored(t, 1)
	s.hand(t, "sent")
	s.arrived(t, 1)
	if n := s.provider.Refreshes() - before; n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	s.tokenFile(t)
}

// aMomentAgo makes what the provider refused older.
func (s *signing) aMomentAgo(t *testing.T) {
	t.Helper()
	file := s.tokenFile(t)
	text, err := os.ReadFile(file)
	must(t, err)
	var r map[string]any
	must(t, json.Unmarshal(text, &r))
	if r["refused_at"] == nil {
		t.Fatalf("nothing was refused: %s", text)
	}
	r["refused_at"] = time.Now().Add(-time.Minute)
	text, err = json.Marshal(r)
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
}

// The person, or the provider, has ended the sign-in: that is said, in words that help;
// mail that is sent waits, and once the account is signed in again all goes on.
func TestASignInIsRevoked(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	s.signIn(t, "ann", 0)
	s.provider.Revoke("ann")
	must(t, s.dovecot.Put("ann", toAnn("one")))
	says(t, command(t, s.Popbridge, 1, "sync").Stderr, "which is tried once more in a moment")
	s.aMomentAgo(t)
	says(t, command(t, s.Popbridge, 1, "sync").Stderr, "the provider does not take the sign-in any more", "account signin work")

	must(t, s.Configure(s.account("work"), s.second()))
	start(t, s.Popbridge)
	s.condition(t, "signin-needed", true)
	s.hand(t, "waits")
	eventually(t, "it waits for a sign-in", func() (bool, error) {
		out, err := s.Run(t.Context(), "", "outbox", "list")
		return strings.Contains(out.Stdout, "sign-in"), err
	})
	st, err := s.Status(t.Context())
	must(t, err)
	if len(st.Health) != 1 || st.Health[0].Code != "signin-needed" || !strings.Contains(st.Health[0].Hint, "account signin ") {
		t.Errorf("it is one thing to do: %+v", st.Health)
	}
	says(t, s.signIn(t, "ann", 0), "account work is signed in")
	s.bothStored(t, 1)
	s.arrived(t, 1)
	s.condition(t, "signin-needed", false)
}

// Who chooses another account in the browser is told so, for both servers.
func TestSignInAsAnotherPerson(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	says(t, s.signIn(t, "bob", 1), "account work is signed in", "work, fetching: ", "work, sending: ", "if another account than ann was chosen in the browser")
	says(t, s.signIn(t, "ann", 0), "fetching ")
	says(t, s.signIn(t, "", 1), "denied in the browser")
	command(t, s.Popbridge, 0, "sync") // as it was signed in before
}

func TestTheAgentIsRestartedWhileSomebodySignsIn(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	start(t, s.Popbridge)
	b := s.begin(t)
	must(t, s.Kill())
	must(t, s.Start(context.WithoutCancel(t.Context())))
	says(t, b.end(t, 1), "the agent was stopped or restarted while it waited for you", "sign in once more: popbridge account signin work")
	if err := s.provider.Browse(b.at, "ann"); err == nil {
		t.Error("somebody listens to the first sign-in")
	}
	says(t, s.signIn(t, "ann", 0), "account work is signed in")
}

// On a machine without a browser: by a code, and by pasting where a browser elsewhere ends.
func TestSignsInWithoutABrowserHere(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	start(t, s.Popbridge)
	b := s.begin(t, "account", "signin", "work", "--device")
	_, code, _ := strings.Cut(b.out.String(), "enter the code ")
	code, _, _ = strings.Cut(code, " ")
	must(t, s.provider.EnterCode(code, "ann"))
	says(t, b.end(t, 0), "account work is signed in", "fetching   the server has", "sending    the outgoing server takes mail")

	b = s.begin(t)
	final, err := s.provider.Authorize(b.at, "ann")
	must(t, err)
	_, err = io.WriteString(b.stdin, "what?\nrubbish\n"+final[:len(final)-5]+"\n"+final+"\n")
	must(t, err)
	says(t, b.end(t, 0), "this is not the address that a sign-in ends with", "this is not the whole address that this sign-in ended with", "account work is signed in")
}

// Microsoft's servers know XOAUTH2 only.
func TestSignsInByXOAUTH2(t *testing.T) {
	t.Parallel()
	s := newSigning(t, "auth_mechanisms = plain xoauth2")
	s.signIn(t, "ann", 0)
	if log := s.dovecot.Log(); !strings.Contains(log, "method=XOAUTH2") {
		t.Errorf("it was not used: %s", tail(log))
	}
	s.provider.RevokeAccess("ann")
	command(t, s.Popbridge, 0, "sync")
	start(t, s.Popbridge)
	s.provider.RevokeAccess("ann")
	s.hand(t, "sent")
	s.arrived(t, 1)
}

// An account is added without a password.
func TestAddsAnAccountThatSignsIn(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	b := s.begin(t, "account", "add", "--oauth", "--name", "second", "--host", "127.0.0.1", "--port", fmt.Sprint(s.dovecot.POP3), "--tls", "none", "--username", "bob", "--folder", "Bob")
	must(t, s.provider.Browse(b.at, "bob"))
	says(t, b.end(t, 0), "account second was added", "account second is signed in", "sending    the outgoing server is not known")
	says(t, command(t, s.Popbridge, 1, "account", "password", "second").Stderr, "has no password: it is signed in")
	command(t, s.Popbridge, 3, "sync") // work is not signed in
}

// The agent is killed around a refresh: while the provider is asked, after it has given
// another token whose answer is lost, and after that was used.
func TestKilledAroundARefresh(t *testing.T) {
	t.Parallel()
	s := newSigning(t)
	s.provider.Change(func(v *oauthtest.Behaviour) { v.Rotate, v.KeepFormer, v.Lifetime = true, true, time.Second }) // each login is a refresh
	s.signIn(t, "ann", 0)
	for i, lose := range []int{0, 1, 0, 1} {
		asked, killed := make(chan struct{}), make(chan struct{})
		var once sync.Once
		s.provider.Change(func(v *oauthtest.Behaviour) {
			v.LoseNext = lose
			v.Hold = func(url.Values) {
				first := false
				once.Do(func() { first = true })
				if first {
					close(asked)
					if lose == 0 {
						<-killed // the answer goes nowhere
					}
				}
			}
		})
		must(t, s.dovecot.Put("ann", toAnn(fmt.Sprintf("m%d", i))))
		must(t, s.Start(context.WithoutCancel(t.Context())))
		<-asked
		must(t, s.Kill())
		close(killed)
		s.provider.Change(func(v *oauthtest.Behaviour) { v.Hold, v.LoseNext = nil, 0 })
		command(t, s.Popbridge, 0, "sync")
		must(t, s.Start(context.WithoutCancel(t.Context())))
		s.stored(t, i+1)
		must(t, s.Kill())
	}
}
