package agent

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/internal/testkit"
)

// The path of docs/ARCHITECTURE.md, "From the POP server to the screen", step
// by step: each leaves something to see.
func TestFromThePOPServerToTheScreen(t *testing.T) {
	r := newRig(t)
	srv, port := agenttest.POP(t, "home", 1)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, More: `keep_on_server = "never"`})
	r.Start()
	r.Sync()

	told := make(chan uint32, 100)
	idler := agenttest.Login(t, r.Addr, "ann", &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				told <- *d.NumMessages
			}
		}}})
	if box, err := idler.Select("INBOX", nil).Wait(); err != nil || box.NumMessages != 1 {
		t.Fatalf("SELECT: %+v, %v", box, err)
	}
	idle, err := idler.Idle()
	if err != nil {
		t.Fatal(err)
	}

	// The server has a message; nothing here knows of it.
	want := testkit.Message(7)
	srv.Add(want)

	// 1: a sync command wakes the runner; 2, 3, 5, 13: the phases of its session.
	var phases []string
	results, err := r.Ops().Sync(t.Context(), []string{"home"}, func(p operations.Progress) {
		if p.Phase != "" && !slices.Contains(phases, p.Phase) {
			phases = append(phases, p.Phase)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	wantPhases := strings.Join([]string{bridge.PhaseConnect, bridge.PhaseList, bridge.PhaseFetch, bridge.PhaseDelete, bridge.PhaseDone}, " ")
	if got := strings.Join(phases, " "); got != wantPhases {
		t.Errorf("the poll went through %q, want %q", got, wantPhases)
	}
	// 4: the plan was to fetch the new one and nothing else.
	if got := results[0]; got.New != 1 || got.Error != "" || got.Problems != 0 {
		t.Errorf("sync: %+v, want one new message", got)
	}
	// 6, 7, 9: it is in the store, with its summary and its ledger row.
	store, err := r.own().users.Store(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if state, err := store.AccountState(t.Context(), "home"); err != nil || state.Stored != 2 {
		t.Errorf("the ledger counts %d stored messages, want 2; %v", state.Stored, err)
	}
	// 8: in the account's folder. 10, 11: published, and told to who waits.
	select {
	case n := <-told:
		if n != 2 {
			t.Errorf("IDLE told EXISTS %d, want 2", n)
		}
	case <-time.After(agenttest.Patience):
		t.Fatal("IDLE told nothing")
	}
	if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
		t.Fatal(err)
	}
	// 12: the client that was told fetches it, byte for byte.
	section := &imap.FetchItemBodySection{Peek: true}
	fetched, err := idler.Fetch(imap.SeqSetNum(2), &imap.FetchOptions{UID: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil || len(fetched) != 1 {
		t.Fatalf("FETCH: %d messages, %v", len(fetched), err)
	}
	if !bytes.Equal(fetched[0].FindBodySection(section), want) {
		t.Error("what FETCH gave is not what the POP3 server had")
	}
	if fetched[0].Envelope == nil || fetched[0].Envelope.MessageID == "" {
		t.Errorf("envelope: %+v", fetched[0].Envelope)
	}
	// 13: by policy it left the server, once that was confirmed.
	if n := srv.Messages(); n != 0 {
		t.Errorf("%d messages are left on the server", n)
	}
	if got := r.Status().Accounts[0]; got.OnServer != 0 || got.Stored != 2 || got.State != "idle" || got.LastSuccess == nil || got.NextPoll == nil {
		t.Errorf("status: %+v", got)
	}
}

// A client that opens INBOX makes its accounts poll, but not right after a poll.
func TestOpeningAMailboxRightAfterAPoll(t *testing.T) {
	r := newRig(t)
	r.Home(1)
	r.Start()
	r.Sync()
	before := *r.Status().Accounts[0].LastSuccess
	agenttest.Read(t, r.Addr, "ann", "INBOX")
	if after := *r.Status().Accounts[0].LastSuccess; !after.Equal(before) {
		t.Errorf("polled again at %v, right after %v", after, before)
	}
}

func TestTwoAccountsShareOneInbox(t *testing.T) {
	r, home, work := twoAccounts(t, "INBOX")
	got, want := agenttest.Read(t, r.Addr, "ann", "INBOX"), append(home.Sent, work.Sent...)
	slices.SortFunc(got, bytes.Compare)
	slices.SortFunc(want, bytes.Compare)
	agenttest.SameBytes(t, got, want)
}

func TestTwoAccountsTwoFolders(t *testing.T) {
	r, home, work := twoAccounts(t, "Work/Mail")
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "INBOX"), home.Sent)
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "Work/Mail"), work.Sent)
}

// twoAccounts have been polled, home into INBOX and work into a folder.
func twoAccounts(t *testing.T, folder string) (r *rig, home, work *agenttest.Peer) {
	t.Helper()
	r = newRig(t)
	home, homePort := agenttest.POP(t, "home", 10)
	work, workPort := agenttest.POP(t, "work", 0)
	for i := range 10 {
		work.Add(testkit.Message(100 + i))
	}
	r.Configure(agenttest.Plain,
		agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: homePort},
		agenttest.Account{Name: "work", User: "ann", Folder: folder, Port: workPort})
	r.Start()
	r.Sync()
	return r, home, work
}
