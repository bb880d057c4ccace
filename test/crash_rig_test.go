package test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// killable is the program built with failpoints, once.
var killable = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "popbridge-failpoint")
	build := exec.Command("go", "build", "-tags", "failpoint", "-o", path, "../cmd/popbridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building with failpoints: %w\n%s", err, out)
	}
	return path, nil
})

// policy is what an account wants done on the server.
type policy struct{ keep, quota, onServer string }

// policies differ in what is sent: nothing, DELE for what has just come, for
// what is old, for what newer mail pushes out by number or by size, for what
// was expunged here.
var policies = []policy{
	{keep: "never"}, {keep: "forever"}, {keep: "30d"}, {keep: "newest 10"},
	{keep: "below 80%", quota: "1MB"}, {keep: "forever", onServer: "when expunged"},
}

const belowLimit = 800_000 // 80% of 1MB

func (p policy) String() string { return cmp.Or(p.onServer, p.keep) }

// deletes reports whether it ever deletes anything.
func (p policy) deletes() bool { return p.String() != "forever" }

// waits reports whether it is time that makes it delete.
func (p policy) waits() bool { return p.keep == "30d" || p.onServer != "" }

func (p policy) in(a rig.Account) rig.Account {
	a.KeepOnServer, a.Quota, a.DeleteOnServer = p.keep, p.quota, p.onServer
	if p.onServer != "" {
		a.DeleteGrace = "1h"
	}
	return a
}

// series is one mailbox that is fetched by a program that dies again and again.
type series struct {
	t      *testing.T
	d      *rig.Dovecot
	p      *rig.Popbridge
	policy policy
	name   string // of the mailbox
	sent   int    // messages put there so far
	gone   int    // of them removed from the server by someone else
	young  int    // of them put there since time last passed

	expunged map[[32]byte]int // by IMAP, from the only mailbox of the message or with a copy left
	released int              // of them without a copy left
}

// distant is a Dovecot and a link to it with a round trip long enough for a
// kill to land in the middle of something.
func distant(t *testing.T) (*rig.Dovecot, *rig.Link) {
	t.Helper()
	d := dovecot(t, nil)
	link, err := rig.StartLink(d.POP3, 10*time.Millisecond)
	must(t, err)
	t.Cleanup(func() {
		if err := link.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, link
}

// newSeries prepares a mailbox of its own, named after the test. data is the
// data folder; "" for the usual one.
func newSeries(t *testing.T, d *rig.Dovecot, link *rig.Link, keep policy, data string) *series {
	t.Helper()
	binary, err := killable()
	must(t, err)
	p, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	if data != "" {
		p.Data = data
	}
	a := account(d, "home")
	name := strings.NewReplacer("/", "-", "%", "", "_", "-").Replace(strings.ToLower(t.Name())) // Dovecot writes users in lower case
	a.Username, a.Port = name, link.Port
	must(t, p.Configure(keep.in(a)))
	must(t, p.AddDevice(t.Context(), localUser, "test", devicePw))
	return &series{t: t, d: d, p: p, policy: keep, name: name, expunged: make(map[[32]byte]int)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// putting guards the Dovecot, which only one test may fill at a time.
var putting sync.Mutex

// put adds n messages to the mailbox, and to one beside it that no one but the
// independent reader opens: it stays the source whatever is deleted.
func (s *series) put(n int) {
	s.t.Helper()
	putting.Lock()
	defer putting.Unlock()
	for range n {
		raw := testkit.Message(s.sent)
		if s.policy.quota != "" { // 40 of them are more than it allows
			raw = append(raw, bytes.Repeat([]byte("so that the mailbox fills up\r\n"), 800)...)
		}
		must(s.t, s.d.Put(s.name, raw))
		must(s.t, s.d.Put(s.name+"-source", raw))
		s.sent++
		s.young++
	}
}

// sync runs `sync` and reports whether it was killed; failpoint may be "". It
// is also killed at the end of ctx.
func (s *series) sync(ctx context.Context, failpoint string) (killed bool) {
	s.t.Helper()
	p := *s.p
	if failpoint != "" {
		p.Env = append(p.Env, "POPBRIDGE_FAILPOINT="+failpoint)
	}
	out, err := p.Run(ctx, "", "sync")
	switch {
	case out.Code == -1:
		return true
	case err != nil && ctx.Err() == nil: // else it ended just before it was killed
		s.t.Fatal(err)
	case out.Code != 0:
		s.t.Fatalf("sync after a kill: exit %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	return false
}

// finish is a run that nothing disturbs.
func (s *series) finish() {
	s.t.Helper()
	if s.sync(s.t.Context(), "") {
		s.t.Fatal("killed, but not by the test")
	}
}

// change runs SQL on the index while the program is not there: the only way to
// let time pass.
func (s *series) change(query string) {
	s.t.Helper()
	changeIndex(s.t, s.p, query)
}

// changeIndex runs SQL on the index of the user while the program is not there.
func changeIndex(t *testing.T, p *rig.Popbridge, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.Data, "users", localUser, "index.db"))
	must(t, err)
	_, err = db.ExecContext(t.Context(), query, args...)
	must(t, err)
	must(t, db.Close())
}

// addOldDevice adds a device whose name an earlier version has allowed, while the program
// is not there.
func addOldDevice(t *testing.T, p *rig.Popbridge, name, password string) {
	t.Helper()
	must(t, p.AddDevice(t.Context(), localUser, "old", password))
	changeIndex(t, p, "UPDATE device SET name = ? WHERE name = 'old'", name)
}

const month = 31 * 24 * 60 * 60

// ripen makes something due that waits for time to pass: what is stored becomes
// 31 days old, or something is expunged and stays so for two hours.
func (s *series) ripen() {
	s.t.Helper()
	switch {
	case s.policy.keep == "30d":
		s.change(fmt.Sprintf("UPDATE ledger SET stored_at = stored_at - %d", month))
		s.young = 0
	case s.policy.onServer != "":
		s.expunge()
		s.change("UPDATE content SET orphaned_at = orphaned_at - 7200")
	}
}

// expunge removes five messages from INBOX over IMAP, of which the first has a
// copy elsewhere the first time.
func (s *series) expunge() {
	s.t.Helper()
	s.quiet(func(addr string) error {
		all, err := rig.ReadMailbox(addr, localUser, devicePw, "INBOX")
		if err != nil || len(all) < 5 {
			return err
		}
		commands := []string{"SELECT INBOX", `STORE 1:5 +FLAGS.SILENT (\Deleted)`, "EXPUNGE"}
		s.released += 5
		if len(s.expunged) == 0 {
			commands = append([]string{"CREATE Kept", "SELECT INBOX", "COPY 1 Kept"}, commands...)
			s.released--
		}
		for _, m := range all[:5] {
			s.expunged[sha256.Sum256(m.Raw)]++
		}
		_, err = rig.IMAP(addr, localUser, devicePw, commands...)
		return err
	})
}

// passAbsent lets 31 days with 30 listings pass since the ids that are missing on
// the server were last listed.
func (s *series) passAbsent() {
	s.t.Helper()
	s.finish() // counts the first absence
	s.change(fmt.Sprintf("UPDATE ledger SET last_listed_at = last_listed_at - %d, absent = 30 WHERE absent > 0", month))
}

// removeElsewhere deletes n messages on the server, as another program would.
func (s *series) removeElsewhere(n int) {
	s.t.Helper()
	var files []string
	for _, sub := range []string{"cur", "new"} {
		found, err := filepath.Glob(filepath.Join(s.d.Maildir(s.name), sub, "*"))
		must(s.t, err)
		files = append(files, found...)
	}
	for _, f := range files[:min(n, len(files))] {
		must(s.t, os.Remove(f))
		s.gone++
	}
}

// check asks the program whether its store is sound.
func (s *series) check() {
	s.t.Helper()
	command(s.t, s.p, 0, "check")
}

// verify compares INBOX with the source: nothing missing, nothing twice, every
// byte right, UIDs rising.
func (s *series) verify() {
	s.t.Helper()
	s.check()
	source, err := rig.Retrieve(rig.Addr(s.d.POP3), s.name+"-source")
	must(s.t, err)
	if len(source) != s.sent {
		s.t.Fatalf("the source has %d messages, want %d", len(source), s.sent)
	}
	missing := make(map[[32]byte]int, len(source))
	for _, raw := range source {
		missing[sha256.Sum256(raw)]++
	}
	for sum, n := range s.expunged {
		missing[sum] -= n
	}
	last, foreign := 0, 0
	for _, m := range s.inbox() {
		if m.UID <= last {
			s.t.Errorf("UID %d after UID %d", m.UID, last)
		}
		last = m.UID
		sum := sha256.Sum256(m.Raw)
		if missing[sum]--; missing[sum] < 0 {
			foreign++
		}
	}
	lost := 0
	for _, n := range missing {
		lost += max(n, 0)
	}
	if lost > 0 || foreign > 0 {
		s.t.Errorf("%d of %d messages are missing, %d are there twice or have other bytes", lost, len(source), foreign)
	}
}

func (s *series) inbox() (all []rig.Message) {
	s.t.Helper()
	s.quiet(func(addr string) (err error) {
		all, err = rig.ReadMailbox(addr, localUser, devicePw, "INBOX")
		return err
	})
	return all
}

// quiet serves the mail, while an agent runs whose only account is another one,
// which leads nowhere: the policy of the first stays as it was.
func (s *series) quiet(use func(addr string) error) {
	s.t.Helper()
	quiet := *s.p
	quiet.Dir = s.t.TempDir()
	nowhere := unused()
	nowhere.Name = "nowhere"
	must(s.t, quiet.Configure(nowhere))
	must(s.t, quiet.Start(context.WithoutCancel(s.t.Context())))
	err := use(rig.Addr(quiet.Port))
	if err != nil {
		err = fmt.Errorf("%w: %s", err, tail(quiet.Log()))
	}
	must(s.t, quiet.Stop())
	must(s.t, err)
}

// verifyServer checks how many messages are left there.
func (s *series) verifyServer() {
	s.t.Helper()
	left, err := s.d.Count(s.name)
	must(s.t, err)
	if want := s.left(); left != want {
		s.t.Errorf("%d messages are left on the server, want %d", left, want)
	}
}

// left is how many messages the policy leaves on the server.
func (s *series) left() (n int) {
	s.t.Helper()
	switch {
	case s.policy.onServer != "":
		return s.sent - s.released
	case s.policy.keep == "never":
		return 0
	case s.policy.keep == "30d":
		return s.young
	case s.policy.keep == "newest 10":
		return 10
	case s.policy.quota == "":
		return s.sent - s.gone
	}
	source, err := rig.Retrieve(rig.Addr(s.d.POP3), s.name+"-source")
	must(s.t, err)
	size := 0
	for _, raw := range slices.Backward(source) {
		if size += len(raw); size >= belowLimit {
			break
		}
		n++
	}
	return n
}
