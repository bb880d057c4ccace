package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// filled runs an agent that has fetched n messages.
func filled(t *testing.T, n int) (*rig.Popbridge, [][]byte) {
	t.Helper()
	d := dovecot(t, nil)
	messages := make([][]byte, n)
	for i := range messages {
		messages[i] = testkit.Message(i)
	}
	if err := d.Put("home", messages...); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, account(d, "home"))
	start(t, p)
	command(t, p, 0, "sync")
	return p, messages
}

// program runs a mail client that is not expected to fail.
func program(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, tail(string(out)))
	}
	return string(out)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// maildir returns the message files of a Maildir, sorted by name.
func maildir(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	for _, sub := range []string{"new", "cur"} {
		found, err := filepath.Glob(filepath.Join(dir, sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return files
}

// crlfSum is the hash of a Maildir file with the line ends of the wire.
func crlfSum(t *testing.T, file string) [32]byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return crlf(raw)
}

// crlf is the hash with the line ends of the wire.
func crlf(raw []byte) [32]byte {
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	return sum(bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")))
}

var xTUID = regexp.MustCompile(`(?m)^X-TUID: .*\r\n`)

// sum is the hash of a message without the line by which mbsync finds again
// what it has just copied.
func sum(raw []byte) [32]byte { return sha256.Sum256(xTUID.ReplaceAll(raw, nil)) }

func sums(messages [][]byte) map[[32]byte]bool {
	m := make(map[[32]byte]bool)
	for _, raw := range messages {
		m[sum(raw)] = true
	}
	return m
}

// setMaildirFlags gives a Maildir file other flags, as any Maildir client does.
func setMaildirFlags(t *testing.T, file, flags string) {
	t.Helper()
	base, _, _ := strings.Cut(filepath.Base(file), ":2,")
	to := filepath.Join(filepath.Dir(filepath.Dir(file)), "cur", base+":2,"+flags)
	if err := os.Rename(file, to); err != nil {
		t.Fatal(err)
	}
}

// flagsOf returns the flags of every message of a mailbox by content.
func flagsOf(t *testing.T, p *rig.Popbridge, mailbox string) map[[32]byte][]imap.Flag {
	t.Helper()
	bodies := fetchAll(t, p, mailbox)
	byUID := make(map[imap.UID][]imap.Flag)
	for _, m := range state(t, p)[mailbox].messages {
		byUID[m.uid] = m.flags
	}
	flags := make(map[[32]byte][]imap.Flag)
	for _, m := range bodies {
		flags[sum(m.body)] = byUID[m.uid]
	}
	return flags
}

func TestMbsyncCopiesOutAndBackInWithFlags(t *testing.T) {
	rig.Need(t, "dovecot", "mbsync")
	t.Parallel()
	p, messages := filled(t, 300)
	dir := t.TempDir()
	rc := write(t, filepath.Join(dir, "mbsyncrc"), fmt.Sprintf(`
IMAPAccount local
Host 127.0.0.1
Port %d
User %s
Pass %s
SSLType None
AuthMechs LOGIN

IMAPStore far
Account local

MaildirStore near
Path %s/mail/
Inbox %s/mail/INBOX
SubFolders Verbatim

Channel out
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *

Channel back
Far :far:Copied
Near :near:INBOX
Create Far
Sync Push
SyncState %s/back-
`, p.Port, localUser, devicePw, dir, dir, dir))
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}

	program(t, dir, "mbsync", "-c", rc, "out")
	files := maildir(t, filepath.Join(dir, "mail", "INBOX"))
	want := sums(messages)
	if len(files) != len(messages) {
		t.Fatalf("mbsync copied %d messages out, want %d", len(files), len(messages))
	}
	for _, f := range files {
		if !want[crlfSum(t, f)] {
			t.Errorf("%s is no message of ours", filepath.Base(f))
		}
	}

	flagged, answered := crlfSum(t, files[3]), crlfSum(t, files[7])
	setMaildirFlags(t, files[3], "FS")
	setMaildirFlags(t, files[7], "RS")
	program(t, dir, "mbsync", "-c", rc, "out")
	program(t, dir, "mbsync", "-c", rc, "back")

	for _, mailbox := range []string{"INBOX", "Copied"} {
		got := flagsOf(t, p, mailbox)
		if len(got) != len(messages) {
			t.Fatalf("%s has %d messages, want %d", mailbox, len(got), len(messages))
		}
		for sum, flags := range got {
			if !want[sum] {
				t.Errorf("%s has a message that came back different", mailbox)
			}
			var expect []imap.Flag
			switch sum {
			case flagged:
				expect = []imap.Flag{imap.FlagFlagged, imap.FlagSeen}
			case answered:
				expect = []imap.Flag{imap.FlagAnswered, imap.FlagSeen}
			}
			if !sameFlags(flags, expect) {
				t.Errorf("%s: flags %v, want %v", mailbox, flags, expect)
			}
		}
	}
}

func TestCurlFetchesByUID(t *testing.T) {
	rig.Need(t, "dovecot", "curl")
	p, messages := filled(t, 5)
	for i, m := range fetchAll(t, p, "INBOX") {
		out := program(t, t.TempDir(), "curl", "--silent", "--show-error", "--user", localUser+":"+devicePw,
			fmt.Sprintf("imap://%s/INBOX;UID=%d", rig.Addr(p.Port), m.uid))
		// curl prints the section and adds nothing.
		if out != string(messages[i]) {
			t.Errorf("UID %d: %s", m.uid, firstDifference([]byte(out), messages[i]))
		}
	}
}

// A client that trusts the local authority connects without a question, and
// one that doesn't is refused; without TLS there is no login.
func TestCurlTrustsTheLocalAuthority(t *testing.T) {
	rig.Need(t, "dovecot", "curl")
	for _, security := range []string{"starttls", "implicit"} {
		t.Run(security, func(t *testing.T) {
			d := dovecot(t, nil)
			if err := d.Put("home", testkit.Message(1)); err != nil {
				t.Fatal(err)
			}
			p := prepare(t, account(d, "home"))
			p.TLS = security
			if err := p.Configure(account(d, "home")); err != nil {
				t.Fatal(err)
			}
			start(t, p)
			command(t, p, 0, "sync")
			scheme := map[string]string{"starttls": "imap", "implicit": "imaps"}[security]
			for _, host := range []string{"localhost", "127.0.0.1"} {
				url := fmt.Sprintf("%s://%s:%d/INBOX;UID=1", scheme, host, p.Port)
				out := program(t, t.TempDir(), "curl", "--silent", "--show-error", "--ssl-reqd", "--cacert",
					filepath.Join(p.Data, "tls", "ca.pem"), "--user", localUser+":"+devicePw, url)
				if out != string(testkit.Message(1)) {
					t.Errorf("%s: %s", url, firstDifference([]byte(out), testkit.Message(1)))
				}
				stranger := exec.Command("curl", "--silent", "--show-error", "--ssl-reqd", "--user", localUser+":"+devicePw, url)
				if out, err := stranger.CombinedOutput(); err == nil {
					t.Errorf("%s: a client that does not know the authority got %q", url, clip(out))
				}
			}
			if security == "starttls" {
				plain := exec.Command("curl", "--silent", "--show-error", "--user", localUser+":"+devicePw,
					fmt.Sprintf("imap://%s/INBOX;UID=1", rig.Addr(p.Port)))
				if out, err := plain.CombinedOutput(); err == nil {
					t.Errorf("a login without TLS got %q", clip(out))
				}
			}
		})
	}
}

// mailboxState is what a client may rely on after a restart.
type mailboxState struct {
	validity uint32
	next     imap.UID
	attrs    string
	messages []messageState
}

type messageState struct {
	uid   imap.UID
	flags []imap.Flag
}

// state reads every mailbox over IMAP.
func state(t *testing.T, p *rig.Popbridge) map[string]mailboxState {
	t.Helper()
	c := login(t, p, nil)
	list, err := c.List("", "*", &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]mailboxState)
	for _, l := range list {
		attrs := make([]string, 0, len(l.Attrs))
		for _, a := range l.Attrs {
			attrs = append(attrs, string(a))
		}
		slices.Sort(attrs)
		data, err := c.Select(l.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		s := mailboxState{validity: data.UIDValidity, next: data.UIDNext, attrs: strings.Join(attrs, " ")}
		if data.NumMessages > 0 {
			found, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true}).Collect()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range found {
				s.messages = append(s.messages, messageState{m.UID, plainFlags(m.Flags)})
			}
		}
		all[l.Mailbox] = s
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// plainFlags drops \Recent, which belongs to a session, and sorts.
func plainFlags(flags []imap.Flag) []imap.Flag {
	kept := []imap.Flag{}
	for _, f := range flags {
		if !strings.EqualFold(string(f), `\Recent`) {
			kept = append(kept, f)
		}
	}
	slices.Sort(kept)
	return kept
}

func sameFlags(a, b []imap.Flag) bool { return slices.Equal(plainFlags(a), plainFlags(b)) }

func TestEverythingIsTheSameAfterARestart(t *testing.T) {
	rig.Need(t, "dovecot")
	for _, end := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(end, func(t *testing.T) {
			p, _ := filled(t, 100)
			makeHistory(t, p)
			before := state(t, p)
			if got := before["Projects/2026"]; len(got.messages) != 10 {
				t.Fatalf("Projects/2026 has %d messages, want 10", len(got.messages))
			}
			for round := range 2 {
				if end == "SIGKILL" {
					if err := p.Kill(); err != nil {
						t.Fatal(err)
					}
				} else {
					stop(t, p)
				}
				start(t, p)
				after := state(t, p)
				if len(after) != len(before) {
					t.Errorf("round %d: %d mailboxes, before %d", round, len(after), len(before))
				}
				for name, b := range before {
					a := after[name]
					if end == "SIGKILL" && a.next >= b.next {
						a.next = b.next // it goes on behind its lease
					}
					if fmt.Sprint(a) != fmt.Sprint(b) {
						t.Errorf("round %d: %s was %v\nand is %v", round, name, b, a)
					}
				}
			}
			command(t, p, 0, "sync")
			if after := state(t, p); len(after["INBOX"].messages) != len(before["INBOX"].messages) {
				t.Errorf("another sync changed INBOX from %d to %d messages", len(before["INBOX"].messages), len(after["INBOX"].messages))
			}
		})
	}
}

// makeHistory leaves traces of every kind: flags, keywords, moves, copies,
// expunges, appends, mailboxes, subscriptions.
func makeHistory(t *testing.T, p *rig.Popbridge) {
	t.Helper()
	c := login(t, p, nil)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := func(from, to uint32, flags ...imap.Flag) {
		t.Helper()
		ok(c.Store(imap.SeqSet{{Start: from, Stop: to}}, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: flags}, nil).Close())
	}
	ok(c.Create("Projects/2026", nil).Wait())
	ok(c.Create("Empty", nil).Wait())
	ok(c.Create("Old name", nil).Wait())
	ok(c.Rename("Old name", "Grüße 山", nil).Wait())
	ok(c.Subscribe("Projects/2026").Wait())
	ok(c.Unsubscribe("Junk").Wait())
	selectMailbox(t, c, "INBOX")
	store(1, 50, imap.FlagSeen)
	store(3, 5, imap.FlagFlagged, "$Forwarded")
	store(7, 7, "project-x", "NonJunk", imap.FlagAnswered)
	store(90, 92, imap.FlagDeleted)
	_, err := c.Copy(imap.SeqSet{{Start: 3, Stop: 7}}, "Projects/2026").Wait()
	ok(err)
	_, err = c.Move(imap.SeqSet{{Start: 20, Stop: 24}}, "Projects/2026").Wait()
	ok(err)
	ok(c.Expunge().Close())
	draft := []byte("From: ann@example.com\r\nSubject: later\r\n\r\nnot yet\r\n")
	app := c.Append("Drafts", int64(len(draft)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagDraft, imap.FlagSeen}, Time: time.Unix(1_750_000_000, 0)})
	_, err = app.Write(draft)
	ok(err)
	ok(app.Close())
	_, err = app.Wait()
	ok(err)
	ok(c.Logout().Wait())
}
