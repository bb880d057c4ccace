package test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// policies are the ways of keep_on_server that differ in what is sent: nothing,
// DELE for what has just come, for what is old, for what newer mail pushes out.
var policies = []string{"forever", "never", "30d", "newest 10"}

// series is one mailbox that is fetched by a program that dies again and again.
type series struct {
	t    *testing.T
	d    *rig.Dovecot
	p    *rig.Popbridge
	keep string
	name string // of the mailbox
	sent int    // messages put there so far
	gone int    // of them removed from the server by somebody else
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

// newSeries prepares a mailbox of its own. data is the data folder; "" for the
// usual one.
func newSeries(t *testing.T, d *rig.Dovecot, link *rig.Link, name, keep, data string) *series {
	t.Helper()
	binary, err := killable()
	must(t, err)
	p, err := rig.NewPopbridge(binary, t.TempDir())
	must(t, err)
	if data != "" {
		p.Data = data
	}
	a := account(d, "home")
	a.Username, a.KeepOnServer, a.Port = name, keep, link.Port
	must(t, p.Configure(a))
	must(t, p.AddDevice(t.Context(), localUser, "test", devicePw))
	return &series{t: t, d: d, p: p, keep: keep, name: name}
}

// mailbox makes the name of a mailbox out of that of a series.
func mailbox(name string) string { return strings.ReplaceAll(name, " ", "-") }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// putting guards the Dovecot, which only one test may fill at a time.
var putting sync.Mutex

// put adds n messages to the mailbox, and to one beside it that nobody but the
// independent reader opens: it stays the source whatever is deleted.
func (s *series) put(n int) {
	s.t.Helper()
	putting.Lock()
	defer putting.Unlock()
	for range n {
		raw := testkit.Message(s.sent)
		must(s.t, s.d.Put(s.name, raw))
		must(s.t, s.d.Put(s.name+"-source", raw))
		s.sent++
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
	db, err := sql.Open("sqlite", filepath.Join(s.p.Data, "users", localUser, "index.db"))
	must(s.t, err)
	_, err = db.ExecContext(s.t.Context(), query)
	must(s.t, err)
	must(s.t, db.Close())
}

const month = 31 * 24 * 60 * 60

// pass lets 31 days pass since the messages were stored.
func (s *series) pass() {
	s.t.Helper()
	s.change(fmt.Sprintf("UPDATE ledger SET stored_at = stored_at - %d", month))
}

// passAbsent lets 31 days with 30 listings pass since ids were last listed.
func (s *series) passAbsent() {
	s.t.Helper()
	s.change(fmt.Sprintf("UPDATE ledger SET last_listed_at = last_listed_at - %d, absent = 30", month))
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

// inbox reads INBOX with an agent whose only account is another one, which
// leads nowhere: the policy of the first stays as it was.
func (s *series) inbox() []rig.Message {
	s.t.Helper()
	quiet := *s.p
	quiet.Dir = s.t.TempDir()
	nowhere := unused()
	nowhere.Name = "nowhere"
	must(s.t, quiet.Configure(nowhere))
	must(s.t, quiet.Start(context.WithoutCancel(s.t.Context())))
	all, err := rig.ReadMailbox(rig.Addr(quiet.Port), localUser, devicePw, "INBOX")
	if err != nil {
		err = fmt.Errorf("%w: %s", err, tail(quiet.Log()))
	}
	must(s.t, quiet.Stop())
	must(s.t, err)
	return all
}

// verifyServer checks how many messages are left there.
func (s *series) verifyServer(want int) {
	s.t.Helper()
	left, err := s.d.Count(s.name)
	must(s.t, err)
	if left != want {
		s.t.Errorf("%d messages are left on the server, want %d", left, want)
	}
}
