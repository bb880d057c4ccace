package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// storeSeries is an agent whose mailbox is emptied, with a data folder that goes
// and comes back.
type storeSeries struct {
	t    *testing.T
	d    *rig.Dovecot
	p    *rig.Popbridge
	away string // where the data folder is meanwhile
	n    int    // messages that were put
}

func newStoreSeries(t *testing.T) *storeSeries {
	t.Helper()
	rig.Need(t, "dovecot")
	s := &storeSeries{t: t, d: dovecot(t, nil)}
	a := account(s.d, "home")
	a.KeepOnServer = "never"
	s.p = prepare(t, a)
	s.away = s.p.Data + ".away"
	return s
}

// startedStoreSeries runs, with five messages that it has fetched.
func startedStoreSeries(t *testing.T) *storeSeries {
	t.Helper()
	s := newStoreSeries(t)
	s.put(5)
	start(t, s.p)
	s.goesOn(5)
	return s
}

func (s *storeSeries) put(n int) {
	s.t.Helper()
	for range n {
		must(s.t, s.d.Put("home", testkit.Message(s.n)))
		s.n++
	}
}

// launch starts an agent that has to wait.
func (s *storeSeries) launch() {
	s.t.Helper()
	must(s.t, s.p.Launch(context.WithoutCancel(s.t.Context())))
}

// left checks how many messages are on the server.
func (s *storeSeries) left(want int) {
	s.t.Helper()
	if n, err := s.d.Count("home"); err != nil || n != want {
		s.t.Errorf("%d messages are left on the server, want %d; %v", n, want, err)
	}
}

// said waits until status has a condition with that code and a hint.
func (s *storeSeries) said(code string) {
	s.t.Helper()
	eventually(s.t, code+" is said", func() (bool, error) {
		status, err := s.p.Status(s.t.Context())
		for _, h := range status.Health {
			if h.Code == code && h.Hint != "" {
				return true, nil
			}
		}
		return false, fmt.Errorf("%+v, %w", status.Health, err)
	})
}

// goesOn waits until mail is fetched, and checks that all of it is here.
func (s *storeSeries) goesOn(want int) {
	s.t.Helper()
	eventually(s.t, "mail is fetched again", func() (bool, error) {
		out, err := s.p.Run(s.t.Context(), "", "sync")
		return err == nil && out.Code == 0, fmt.Errorf("%s %w", out.Stderr, err)
	})
	eventually(s.t, "the agent serves mail clients", func() (bool, error) {
		conn, err := net.Dial("tcp", rig.Addr(s.p.Port))
		if err == nil {
			err = conn.Close()
		}
		return err == nil, err
	})
	if n := len(fetchAll(s.t, s.p, "INBOX")); n != want {
		s.t.Errorf("INBOX has %d messages, want %d", n, want)
	}
}

// comesBack puts the data folder back in place of an empty one, and three messages have
// waited on the server.
func (s *storeSeries) comesBack() {
	s.t.Helper()
	s.left(3)
	must(s.t, os.Remove(s.p.Data)) // nothing was made in it
	must(s.t, os.Rename(s.away, s.p.Data))
	s.goesOn(8)
	s.left(0)
	healthy(s.t, s.p)
	command(s.t, s.p, 0, "check")
}

func TestADataFolderThatIsNotThereIsWaitedFor(t *testing.T) {
	s := startedStoreSeries(t)
	stop(t, s.p)
	must(t, os.Rename(s.p.Data, s.away))
	must(t, os.Mkdir(s.p.Data, 0o700)) // a mount point without its drive
	s.put(3)
	s.launch()
	s.said("store-missing")
	oneMessage(t, command(t, s.p, 1, "sync"), "mail of user "+localUser, "user confirm "+localUser)
	oneMessage(t, command(t, s.p, 1, "run"), "in use by another popbridge")
	s.comesBack()
}

func TestADataFolderThatIsMovedUnderARunningAgent(t *testing.T) {
	s := startedStoreSeries(t)
	c := login(t, s.p, nil)
	selectMailbox(t, c, "INBOX")
	must(t, os.Rename(s.p.Data, s.away))
	must(t, os.Mkdir(s.p.Data, 0o700))
	s.put(3)
	oneMessage(t, command(t, s.p, 1, "sync"), "mail of user "+localUser)
	refusedAppend(t, c, 1, "UNAVAILABLE")
	s.comesBack()
}

// data_dir is changed in the config: what is asked of the agent that runs goes to
// it, and at the next start the mail is missed where it should be.
func TestADataDirThatIsChanged(t *testing.T) {
	s := startedStoreSeries(t)
	old := s.p.Data
	s.p.Data = s.away
	a := account(s.d, "home")
	a.KeepOnServer = "never"
	must(t, s.p.Configure(a))
	s.put(3)
	s.goesOn(8)
	if _, err := os.Stat(s.p.Data); !os.IsNotExist(err) {
		t.Errorf("a second data folder was made: %v", err)
	}
	stop(t, s.p)
	oneMessage(t, command(t, s.p, 1, "sync"), "it was last in "+filepath.Join(old, "users", localUser))
	must(t, os.Rename(old, s.p.Data))
	start(t, s.p)
	s.goesOn(8)
	healthy(t, s.p)
}

// The mail is gone for good, and a person says so: a new store begins, loudly,
// and what is on the server stays there until that is confirmed as well.
func TestAPersonBeginsANewStore(t *testing.T) {
	s := startedStoreSeries(t)
	stop(t, s.p)
	must(t, os.RemoveAll(s.p.Data))
	s.put(3)
	s.launch()
	s.said("store-missing")
	command(t, s.p, 0, "user", "confirm", localUser)
	s.said("store-new")
	must(t, s.p.AddDevice(t.Context(), localUser, "test", devicePw))
	s.goesOn(3)
	s.left(3)
	command(t, s.p, 0, "account", "confirm", "home")
	command(t, s.p, 0, "sync")
	s.left(0)
	healthy(t, s.p)
}

// One of two users is missing: the other one is served.
func TestAMailFolderOfOneUserThatIsMissing(t *testing.T) {
	rig.Need(t, "dovecot")
	d := dovecot(t, nil)
	home, work := account(d, "home"), account(d, "work")
	home.KeepOnServer, work.KeepOnServer, work.User = "never", "never", "bob"
	p := prepare(t, home, work)
	must(t, d.Put("home", testkit.Message(1)))
	must(t, d.Put("work", testkit.Message(2)))
	start(t, p)
	command(t, p, 0, "sync")
	stop(t, p)
	dir := filepath.Join(p.Data, "users", "bob")
	must(t, os.Rename(dir, dir+"-away~"))
	must(t, d.Put("home", testkit.Message(3)))
	must(t, d.Put("work", testkit.Message(4)))
	start(t, p)
	oneMessage(t, command(t, p, 3, "sync"), "mail of user bob")
	if n := len(fetchAll(t, p, "INBOX")); n != 2 {
		t.Errorf("INBOX of the other user has %d messages, want 2", n)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("a new folder was made: %v", err)
	}
	if n, err := d.Count("work"); err != nil || n != 1 {
		t.Errorf("%d messages are left on the server, want 1; %v", n, err)
	}
	must(t, os.Rename(dir+"-away~", dir))
	eventually(t, "it goes on", func() (bool, error) {
		out, err := p.Run(t.Context(), "", "sync")
		return err == nil && out.Code == 0, fmt.Errorf("%s %w", out.Stderr, err)
	})
	healthy(t, p)
}

func TestACopyOfTheDataFolderPutBack(t *testing.T) {
	s := startedStoreSeries(t)
	stop(t, s.p)
	if out, err := exec.Command("cp", "-a", s.p.Data, s.away).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	start(t, s.p)
	s.put(3)
	s.goesOn(8)
	given := selectMailbox(t, login(t, s.p, nil), "INBOX")
	stop(t, s.p)
	must(t, os.RemoveAll(s.p.Data))
	must(t, os.Rename(s.away, s.p.Data))
	start(t, s.p)
	s.said("store-put-back")
	s.put(1)
	s.goesOn(6)
	now := selectMailbox(t, login(t, s.p, nil), "INBOX")
	if now.UIDValidity != given.UIDValidity || now.UIDNext <= given.UIDNext {
		t.Errorf("UIDVALIDITY %d, UIDNEXT %d; were %d, %d", now.UIDValidity, now.UIDNext, given.UIDValidity, given.UIDNext)
	}
	stop(t, s.p)
	command(t, s.p, 0, "user", "confirm", localUser)
	start(t, s.p)
	healthy(t, s.p)
	command(t, s.p, 0, "check")
}
