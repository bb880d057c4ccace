package outbox

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.submit("b@example.com")
		stop := g.serve()
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1})
		if err := g.runner.Serve(t.Context()); !fault.Is(err, fault.Conflict) {
			t.Errorf("served twice: %v", err)
		}
		g.submit("c@example.com", "d@example.com")
		g.queue.submit("work", "x@example.org", sample(2), "y@example.com") // of another account
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1, "d@example.com": 1})
		if s := g.runner.Status(); s.State != Idle || s.Err != nil || !s.LastSent.Equal(time.Now()) || !s.Next.IsZero() || s.Waiting != 0 {
			t.Errorf("status %+v", s)
		}
		if len(g.queue.left) != 2 || len(g.queue.all) != 1 {
			t.Errorf("left %v, in the queue %v", g.queue.left, g.queue.all)
		}
		if body := g.server.taken[0].body; bytes.Contains(body, []byte("hidden")) || !bytes.Contains(body, []byte("Subject: test\r\nMessage-ID")) {
			t.Errorf("sent %q", body)
		}
		if reports, notices := g.told(); reports+notices != 0 {
			t.Errorf("%d reports, %d notices", reports, notices)
		}
		stop()
	})
}

// What is sent from a store is in its Sent, with the Bcc that does not leave.
func TestSendsFromAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStoreQueue(t, time.Now)
		g := newRigWith(t, store)
		stop := g.serve()
		g.submit("b@example.com", "hidden@example.org")
		pass(time.Minute)
		stop()
		g.wantTaken(map[string]int{"b@example.com": 1, "hidden@example.org": 1})
		for name, want := range map[string]int{"Outbox": 0, "Sent": 1} {
			mailbox, err := store.Mailbox(t.Context(), name)
			if err != nil || int(mailbox.Messages) != want {
				t.Errorf("%s: %+v, error %v", name, mailbox, err)
			}
		}
		sent, err := store.Mailbox(t.Context(), "Sent")
		if err != nil || sent.Size != int64(len(sample(1))) || len(g.server.taken[0].body) >= len(sample(1)) {
			t.Errorf("Sent %+v, error %v, and %d bytes left", sent, err, len(g.server.taken[0].body))
		}
	})
}

// A message that may be taken back waits, and is sent when its time has come.
func TestWaitsForNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.queue.delay = 10 * time.Second
		stop := g.serve()
		g.submit("b@example.com")
		synctest.Wait()
		if s := g.runner.Status(); s.State != Waiting || !s.Next.Equal(time.Now().Add(10*time.Second)) || s.Waiting != 1 {
			t.Errorf("status %+v", s)
		}
		other := g.submit("c@example.com")
		pass(9 * time.Second)
		g.queue.drop(other) // taken back
		g.wantTaken(map[string]int{})
		pass(time.Second)
		synctest.Wait()
		g.wantTaken(map[string]int{"b@example.com": 1})
		stop()
	})
}

// A notice comes once, when a message was tried for an hour.
func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.rcpt = func(string) smtp.Reply { return smtp.Reply{Code: 451, Text: "greylisted"} }
		g.submit("b")
		stop := g.serve()
		pass(time.Hour - time.Second)
		if _, notices := g.told(); notices != 0 {
			t.Error("a notice within the hour")
		}
		pass(time.Minute)
		if _, notices := g.told(); notices != 1 {
			t.Error("no notice after an hour")
		}
		stop()
		g.restart(Account{})
		stop = g.serve()
		pass(24 * time.Hour)
		if reports, notices := g.told(); notices != 1 || reports != 0 || !bytes.Contains(g.notices[0], []byte("greylisted")) || !bytes.Contains(g.notices[0], []byte("Action: delayed")) {
			t.Errorf("%d notices, %d reports: %q", notices, reports, g.notices)
		}
		stop()
	})
}

// No one is told about a message without a sender.
func TestNoReportWithoutSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.rcpt = func(string) smtp.Reply { return smtp.Reply{Code: 550, Text: "no"} }
		g.queue.submit("home", "", sample(1), "b")
		stop := g.serve()
		synctest.Wait()
		if reports, _ := g.told(); reports != 0 || g.queue.get(1).State != mailstore.Rejected {
			t.Errorf("%d reports, message %+v", reports, g.queue.get(1))
		}
		stop()
	})
}

// A report that cannot be delivered keeps nothing from leaving.
func TestReportFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.reportErr = errors.New("no INBOX")
		g.server.rcpt = func(a string) smtp.Reply {
			if a == "b" {
				return smtp.Reply{Code: 550, Text: "no"}
			}
			return smtp.Reply{}
		}
		g.submit("b")
		g.submit("c")
		stop := g.serve()
		synctest.Wait()
		g.wantTaken(map[string]int{"c": 1})
		stop()
	})
}
