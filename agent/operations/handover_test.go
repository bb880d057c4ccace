package operations_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// handover is an agent whose provider keeps back the answer to the final dot of a message of
// ann, until answer is called.
func handover(t *testing.T) (r *agenttest.Rig, home agenttest.Account, answer func()) {
	t.Helper()
	out := scripted.Listen(t, smtptest.Hello()+smtptest.Login()+smtptest.Envelope("ann@example.com", "home@example.com")+
		"C: DATA\nS: 354 go ahead\nC.\n@wait answer\nS: 250 2.0.0 queued\n"+smtptest.Quit, scripted.Lenient())
	r = newRig(t)
	_, port := agenttest.POP(t, "home", 0)
	home = agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, More: sendsBy(out.Port(), "ann@example.com")}
	r.Configure(agenttest.Plain, home)
	queued(t, r)
	r.Start()
	r.Sync()
	agenttest.Eventually(t, "the final dot", func() bool { return slices.Equal(states(t, r), []string{"home sending"}) })
	return r, home, func() { out.Release("answer") }
}

func sendsBy(port int, address string) string {
	return fmt.Sprintf("address = %q\n[account.send]\nhost = \"127.0.0.1\"\nport = %d\ntls = \"none\"", address, port)
}

// queued puts a message of ann, that is not from a restore, into the queue of home.
func queued(t *testing.T, r *agenttest.Rig) {
	t.Helper()
	r.Agent = r.Open()
	r.Status()
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	submit(t, r.Load().DataDir, "ann", "home")
}

// states are the accounts and states of what is in the Outbox.
func states(t *testing.T, r *agenttest.Rig) (list []string) {
	t.Helper()
	all, err := r.Ops().Outbox(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		list = append(list, m.Account+" "+m.State)
	}
	return list
}

// A message that is being handed over when its account gets another name has its answer, and
// nobody can send it once more before that.
func TestAnAccountIsRenamedDuringAHandover(t *testing.T) {
	t.Parallel()
	r, home, answer := handover(t)
	home.Change("name = \"home\"\nhost", "name = \"work\"\nhost")
	r.Reload(home)
	r.Sync()
	time.Sleep(100 * time.Millisecond) // a sender that does not wait begins
	if got := states(t, r); !slices.Equal(got, []string{"work sending"}) {
		t.Errorf("the Outbox has %v", got)
	}
	done, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", IDs: []int64{1}, Do: "retry"})
	if err != nil || done[0].Kind != fault.Conflict.String() {
		t.Errorf("%+v, %v", done, err)
	}
	answer()
	agenttest.Eventually(t, "the answer", func() bool { return states(t, r) == nil })
	if n := len(agenttest.Read(t, r.Addr, "ann", "Sent")); n != 1 {
		t.Errorf("%d messages in Sent", n)
	}
}

// A user is renamed when what is handed over has its answer, and not before.
func TestAUserIsRenamedDuringAHandover(t *testing.T) {
	t.Parallel()
	r, _, answer := handover(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Ops().RenameUser(ctx, "ann", "bob"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "being handed to the mail server") {
		t.Errorf("%v", err)
	}
	if got := states(t, r); !slices.Equal(got, []string{"home sending"}) {
		t.Errorf("the Outbox has %v", got)
	}
	time.AfterFunc(100*time.Millisecond, answer)
	if _, err := r.Ops().RenameUser(t.Context(), "ann", "bob"); err != nil {
		t.Fatal(err)
	}
	if got := states(t, r); got != nil {
		t.Errorf("the Outbox has %v", got)
	}
	if n := len(agenttest.Read(t, r.Addr, "bob", "Sent")); n != 1 {
		t.Errorf("%d messages in Sent", n)
	}
}

// Mail from an address that its account does not have any more leaves by no other identity.
// It leaves once the account has the address again, with what the mail program has asked for.
func TestAnAccountLosesAnAddress(t *testing.T) {
	t.Parallel()
	out := scripted.Listen(t, smtptest.Hello("DSN")+smtptest.Login()+"C: MAIL FROM:<ann@example.com> RET=HDRS\nS: 250 ok\nC: RCPT TO:<home@example.com> NOTIFY=NEVER\nS: 250 ok\n"+
		smtptest.Content("250 2.0.0 queued")+smtptest.Quit, scripted.Lenient())
	r := newRig(t)
	_, port := agenttest.POP(t, "home", 0)
	home := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, More: sendsBy(out.Port(), "bob@other.example")}
	r.Configure(agenttest.Plain, home)
	queued(t, r)
	r.Start()
	agenttest.Eventually(t, "the condition", func() bool { return strings.Contains(r.Codes(), "send-no-account") })
	done, err := r.Ops().DecideOutgoing(t.Context(), operations.Decide{User: "ann", IDs: []int64{1}, Do: "retry"})
	if err != nil || !strings.Contains(done[0].Error, "does not leave by account home any more") || !strings.Contains(done[0].Hint, "bob@other.example") {
		t.Errorf("%+v, %v", done, err)
	}
	time.Sleep(100 * time.Millisecond)
	if got := states(t, r); !slices.Equal(got, []string{"home waiting"}) {
		t.Errorf("the Outbox has %v", got)
	}
	home.Change("address = \"bob@other.example\"", "addresses = [\"bob@other.example\", \"Ann@Example.com\"]")
	r.Reload(home)
	agenttest.Eventually(t, "the message leaves", func() bool { return states(t, r) == nil })
}
