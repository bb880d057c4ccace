package agent

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/health"
)

// refusedAs logs in with a wrong password, and returns what the client is told.
func refusedAs(t *testing.T, addr, name string) string {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err = c.Login(name, "wrong").Wait(); err == nil {
		t.Fatalf("%s is let in with a wrong password", name)
	}
	return err.Error()
}

// TestTheMailAddressIsAUserName: where it says which user is meant. Who guesses
// does not learn which names there are.
func TestTheMailAddressIsAUserName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := agenttest.POP(t, "a", 1)
	home := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port}
	home.Change(`username = "home"`, `username = "ann@example.com"`)
	both := agenttest.Account{Name: "both", User: "ann", Folder: "INBOX", Port: port + 1}
	both.Change(`username = "both"`, `username = "shared@example.com"`)
	too := agenttest.Account{Name: "too", User: "bob", Folder: "INBOX", Port: port + 2}
	too.Change(`username = "too"`, `username = "shared@example.com"`)
	r.Configure(agenttest.Plain, home, both, too)
	r.Start()
	for _, name := range []string{"ann", "Ann", "ann@example.com", "ANN@Example.com"} {
		agenttest.Login(t, r.Addr, name, nil)
	}
	if n := r.Status().Clients; n != 4 {
		t.Errorf("%d clients", n)
	}
	devices, err := r.Ops().Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		want := map[string]int{"ann": 4, "bob": 0}[d.User]
		if d.Connections != want || (d.ConnectedSince == nil) != (want == 0) {
			t.Errorf("%s has %d connections since %v, want %d", d.User, d.Connections, d.ConnectedSince, want)
		}
	}
	ambiguous, known := refusedAs(t, r.Addr, "shared@example.com"), refusedAs(t, r.Addr, "ann")
	if ambiguous != known || !strings.Contains(known, "AUTHENTICATIONFAILED") || !strings.Contains(known, "popbridge device add") {
		t.Errorf("%q and %q", ambiguous, known)
	}
}

// TestARefusedLoginIsSeenInStatus: with what to do, until the next login that is
// right.
func TestARefusedLoginIsSeenInStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := agenttest.POP(t, "a", 1)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: port})
	r.Start()
	refusedAs(t, r.Addr, "ann")
	refusedAs(t, r.Addr, "ann")
	refusedAs(t, r.Addr, "anne\x1b[31m")
	list := r.Status().Health
	if len(list) != 2 || list[0].Code != health.CodeLoginRefused || list[1].Code != health.CodeLoginRefused {
		t.Fatalf("conditions %+v", list)
	}
	if c := list[0]; !strings.Contains(c.Text, "ann was refused: its password was wrong 2 times, last on ") || !strings.Contains(c.Hint, "device add") {
		t.Errorf("%+v", c)
	}
	if c := list[1]; !strings.Contains(c.Text, "there is no such user") || c.Hint != "set the user name in the mail program; the users are: ann" || strings.Contains(c.Text, "\x1b") {
		t.Errorf("%+v", c)
	}
	agenttest.Login(t, r.Addr, "ann", nil)
	if got := r.Status().Health; len(got) != 0 {
		t.Errorf("after a login that was right: %+v", got)
	}
}

// TestAWrongNameIsMeantForSomeone: the condition ends when that user logs in.
func TestAWrongNameIsMeantForSomeone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: 1}, agenttest.Account{Name: "b", User: "carl", Folder: "INBOX", Port: 2})
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	for name, want := range map[string]string{"anne": "ann", "an@example.org": "ann", "Karl": "carl", "root": "", "info@example.org": ""} {
		if got := r.own().meant(name); got != want {
			t.Errorf("%s is meant for %q, want %q", name, got, want)
		}
	}
}
