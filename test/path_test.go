package test

import (
	"bytes"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// idler is a client that waits in IDLE and notes what it is told.
type idler struct {
	exists   chan uint32
	expunged chan uint32
	cmd      *imapclient.IdleCommand
	client   *imapclient.Client
}

func idle(t *testing.T, p *rig.Popbridge, mailbox string) *idler {
	t.Helper()
	i := &idler{exists: make(chan uint32, 1000), expunged: make(chan uint32, 1000)}
	i.client = login(t, p, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				i.exists <- *data.NumMessages
			}
		},
		Expunge: func(seq uint32) { i.expunged <- seq },
	}})
	selectMailbox(t, i.client, mailbox)
	var err error
	if i.cmd, err = i.client.Idle(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.cmd.Close(); err != nil {
			t.Errorf("IDLE: %v", err)
		} else if err := i.cmd.Wait(); err != nil {
			t.Errorf("IDLE: %v", err)
		}
	})
	return i
}

func (i *idler) waitExists(t *testing.T, want uint32) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case n := <-i.exists:
			if n == want {
				return
			}
		case <-timeout:
			t.Fatalf("no EXISTS %d in IDLE", want)
		}
	}
}

// The path of docs/ARCHITECTURE.md from the POP server to the screen, step by
// step, through the real programs: every step leaves something to see.
func TestFromThePOPServerToAnotherClientsIdle(t *testing.T) {
	rig.Need(t, "dovecot")
	d := dovecot(t, nil)
	if err := d.Put("home", testkit.Message(1)); err != nil {
		t.Fatal(err)
	}
	a := account(d, "home")
	a.KeepOnServer = "never"
	p := prepare(t, a)
	start(t, p)
	command(t, p, 0, "sync")
	reader := idle(t, p, "INBOX")

	// The server has a message; nothing here knows of it.
	want := testkit.Message(2)
	if err := d.Put("home", want); err != nil {
		t.Fatal(err)
	}
	// Steps 1 to 10: a poll is asked for and waited for. When it is done the
	// message is durable, counted and published.
	command(t, p, 0, "sync", "home")
	status, err := p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := status.Accounts[0]; got.Stored != 2 || got.LastSuccess.IsZero() {
		t.Errorf("status after sync: %+v, want two messages stored", got)
	}
	// Step 11: the client that waits is told without asking.
	reader.waitExists(t, 2)
	// Step 12: another client fetches it, byte for byte.
	all := fetchAll(t, p, "INBOX")
	if len(all) != 2 || !bytes.Equal(all[1].body, want) {
		t.Fatalf("INBOX has %d messages, the second is not the new one", len(all))
	}
	// Step 13: by policy it has left the server.
	if n, err := d.Count("home"); err != nil || n != 0 {
		t.Errorf("%d messages are left on the server; %v", n, err)
	}
	// And a change by one client reaches the other in IDLE, too.
	c := login(t, p, nil)
	selectMailbox(t, c, "INBOX")
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case seq := <-reader.expunged:
		if seq != 1 {
			t.Errorf("EXPUNGE %d, want 1", seq)
		}
	case <-time.After(20 * time.Second):
		t.Error("no EXPUNGE in IDLE")
	}
}

func TestTwoAccountsShareOneInbox(t *testing.T) {
	rig.Need(t, "dovecot")
	d := dovecot(t, nil)
	for i, name := range []string{"home", "work"} {
		for n := range 30 {
			if err := d.Put(name, testkit.Message(100*i+n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := prepare(t, account(d, "home"), account(d, "work"))
	start(t, p)
	command(t, p, 0, "sync")
	got := make(map[[32]byte]bool)
	for _, m := range fetchAll(t, p, "INBOX") {
		got[m.sum] = true
	}
	for _, name := range []string{"home", "work"} {
		want, err := rig.Retrieve(rig.Addr(d.POP3), name)
		if err != nil {
			t.Fatal(err)
		}
		for sum := range sums(want) {
			if !got[sum] {
				t.Errorf("a message of %s is not in INBOX", name)
			}
		}
	}
	if len(got) != 60 {
		t.Errorf("INBOX has %d different messages, want 60", len(got))
	}
}

func TestTwoAccountsTwoFoldersOneUser(t *testing.T) {
	rig.Need(t, "dovecot")
	d := dovecot(t, nil)
	want := map[string][][]byte{"INBOX": nil, "Work/Mail": nil}
	for n := range 20 {
		want["INBOX"] = append(want["INBOX"], testkit.Message(n))
		want["Work/Mail"] = append(want["Work/Mail"], testkit.Message(1000+n))
	}
	home, work := account(d, "home"), account(d, "work")
	work.Folder = "Work/Mail"
	if err := d.Put("home", want["INBOX"]...); err != nil {
		t.Fatal(err)
	}
	if err := d.Put("work", want["Work/Mail"]...); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, home, work)
	start(t, p)
	command(t, p, 0, "sync")
	for folder, messages := range want {
		compare(t, fetchAll(t, p, folder), messages)
	}
}

// `sync` polls by itself where no agent runs, and the mail is there when one
// does.
func TestSyncWithoutARunningAgent(t *testing.T) {
	rig.Need(t, "dovecot")
	d := dovecot(t, nil)
	var want [][]byte
	for n := range 50 {
		want = append(want, testkit.Message(n))
	}
	if err := d.Put("home", want...); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, account(d, "home"))
	command(t, p, 0, "sync")
	command(t, p, 0, "check")
	start(t, p)
	compare(t, fetchAll(t, p, "INBOX"), want)
}
