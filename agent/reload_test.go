package agent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// runnerOf tells whether an account was restarted: a new one has a new runner.
func (r *rig) runnerOf(name string) any {
	for _, ac := range r.own().accounts.All() {
		if ac.Config.Name == name {
			runner, err := ac.Runner(r.t.Context())
			if err != nil {
				r.t.Fatal(err)
			}
			return runner
		}
	}
	return nil
}

func TestReloadReplacesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, aPort := agenttest.POP(t, "a", 1)
	_, bPort := agenttest.POP(t, "b", 2)
	_, cPort := agenttest.POP(t, "c", 3)
	a := agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: aPort}
	b := agenttest.Account{Name: "b", User: "ann", Folder: "B", Port: bPort}
	c := agenttest.Account{Name: "c", User: "cid", Folder: "INBOX", Port: cPort}
	r.Configure(agenttest.Plain, a, b)
	r.Start()
	r.Sync()
	client := agenttest.Login(t, r.Addr, "ann", nil)
	runnerA, runnerB := r.runnerOf("a"), r.runnerOf("b")

	// b goes elsewhere, c is new, a stays.
	b.Folder = "Elsewhere"
	r.Configure(agenttest.Plain, a, b, c)
	r.Agent.Reload()
	if r.runnerOf("a") != runnerA {
		t.Error("an account that did not change was restarted")
	}
	r.Sync()
	if r.runnerOf("b") == runnerB {
		t.Error("an account that changed was not restarted")
	}
	r.AddDevice("cid")
	if got := len(agenttest.Read(t, r.Addr, "cid", "INBOX")); got != 3 {
		t.Errorf("the new user has %d messages, want 3", got)
	}
	if err := client.Noop().Wait(); err != nil {
		t.Errorf("a client was disturbed: %v", err)
	}

	// b is removed; its mail stays.
	r.Configure(agenttest.Plain, a, c)
	r.Agent.Reload()
	if _, err := r.Ops().Sync(t.Context(), []string{"b"}, nil); !fault.Is(err, fault.Config) {
		t.Errorf("a removed account is still known: %v", err)
	}
	if got := len(agenttest.Read(t, r.Addr, "ann", "B")); got != 2 {
		t.Errorf("%d messages of the removed account are left, want 2", got)
	}

	// A user whose accounts are gone can log in as before.
	r.Configure(agenttest.Plain, a)
	r.Agent.Reload()
	agenttest.Read(t, r.Addr, "cid", "INBOX")
}

// A config with errors changes nothing but health, until it is correct again.
func TestAnInvalidConfigLeavesTheOldOne(t *testing.T) {
	r := newRig(t)
	_, home := r.Home(2)
	r.Start()
	r.Sync()
	before := r.own().Config()

	r.Configure(agenttest.Plain+"tsl = \"off\"\nlisten_to = 3", home)
	r.Agent.Reload()
	if r.own().Config() != before {
		t.Error("the config in force changed")
	}
	health := r.Status().Health
	if len(health) != 1 || health[0].Code != "config-invalid" || health[0].Hint == "" {
		t.Fatalf("health: %+v", health)
	}
	for _, key := range []string{"tsl", "listen_to"} {
		if !strings.Contains(health[0].Text, key) {
			t.Errorf("the condition does not name %s: %s", key, health[0].Text)
		}
	}
	r.Sync()

	if err := os.Remove(r.Path()); err != nil {
		t.Fatal(err)
	}
	r.Agent.Reload()
	if got := r.Codes(); got != "config-invalid" {
		t.Errorf("without a config file: %q", got)
	}

	r.Configure(agenttest.Plain, home)
	r.Agent.Reload()
	if got := r.Codes(); got != "" {
		t.Errorf("after it was corrected: %q", got)
	}
}

// The watcher notices what SIGHUP would say.
func TestAChangedFileIsNoticed(t *testing.T) {
	r := newRig(t)
	_, home := r.Home(2)
	r.Start()
	r.Configure(agenttest.Plain, agenttest.Account{Name: "renamed", User: "ann", Folder: "INBOX", Port: home.Port})
	agenttest.Eventually(t, "the renamed account is there", func() bool { return r.Status().Accounts[0].Name == "renamed" })
}

func TestWhatNeedsARestart(t *testing.T) {
	r := newRig(t)
	_, home := r.Home(2)
	r.Start()
	r.Configure("keep_expunged = \"90d\"\n"+strings.Replace(agenttest.Plain, `"data"`, `"elsewhere"`, 1)+"[log]\nformat = \"json\"", home)
	var keys []string // as the web page has them
	for _, k := range config.Keys {
		if k.Restart {
			keys = append(keys, k.Path)
		}
	}
	for range 2 { // the second time nothing changed, and it still needs a restart
		r.Agent.Reload()
		health := r.Status().Health
		if len(health) != 1 || health[0].Code != "restart-needed" || !strings.Contains(health[0].Text, strings.Join(keys, " and ")) {
			t.Fatalf("health: %+v", health)
		}
	}
	r.Sync()
	if _, err := os.Stat(filepath.Join(r.Dir, "elsewhere")); err == nil {
		t.Error("the new data folder was made while the old one is in use")
	}
	r.Configure(agenttest.Plain, home)
	r.Agent.Reload()
	if got := r.Codes(); got != "" {
		t.Errorf("after it was taken back: %q", got)
	}
}

func TestTheLogLevelChangesAtOnce(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	levels := make(chan string, 10)
	r.SetLevel = func(l string) { levels <- l }
	r.Start()
	r.Configure(agenttest.Plain+"[log]\nlevel = \"debug\"", agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	r.Agent.Reload()
	for level := range levels { // the watcher may have read the first config as well
		if level == "debug" {
			break
		}
	}
	if got := r.Codes(); strings.Contains(got, "restart-needed") {
		t.Errorf("health: %q", got)
	}
}

// IMAP addresses come and go; one that is busy is a condition and is had as
// soon as it is free.
func TestReloadOfIMAPAddresses(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	_, home := r.Home(2)
	r.Start()
	r.Sync()
	stays := agenttest.Login(t, r.Addr, "ann", nil)

	two := fmt.Sprintf("data_dir = \"data\"\n[web]\nlisten = \"off\"\n[imap]\nlisten = [\"127.0.0.1:0\", %q]\ntls = \"off\"\n", busy.Addr())
	r.Configure(two, home)
	r.Agent.Reload()
	if got := r.Codes(); got != "imap-port-busy" {
		t.Errorf("health with a busy port: %q", got)
	}
	if err := stays.Noop().Wait(); err != nil {
		t.Errorf("a client of the address that stays was disturbed: %v", err)
	}
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, "the address is had once it is free", func() bool {
		return slices.Contains(r.Status().Listen, busy.Addr().String()) && r.Codes() == ""
	})
	agenttest.SameBytes(t, agenttest.Read(t, busy.Addr().String(), "ann", "INBOX"), [][]byte{testkit.Message(0), testkit.Message(1)})

	// With TLS all of them begin again, and the clients are told.
	r.Configure(strings.Replace(two, `tls = "off"`, `tls = "starttls"`, 1), home)
	r.Agent.Reload()
	if err := stays.Noop().Wait(); err == nil {
		t.Error("a client went on without the TLS that is wanted now")
	}
	plainLogin, err := imapclient.DialInsecure(busy.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plainLogin.Close() }()
	if err := plainLogin.Login("ann", agenttest.DevicePassword).Wait(); err == nil {
		t.Error("a login without TLS was taken")
	}
}

// A config file that is half written, by an editor that writes in place, is not taken
// up by commands: the mail of an account in shadow stays on its server.
func TestAHalfWrittenConfigIsNotTakenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := agenttest.POP(t, "a", 1)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "a", User: "ann", Folder: "INBOX", Port: port, More: "keep_on_server = \"never\"\nconfirm_deletes = false\nshadow = true"})
	r.Start()
	r.Sync()
	text, err := os.ReadFile(r.Path())
	if err != nil {
		t.Fatal(err)
	}
	half := text[:strings.Index(string(text), "shadow = true")]
	if err := os.WriteFile(r.Path(), half, 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := r.Ops().Sync(t.Context(), nil, nil)
	if err != nil || len(results) != 1 || results[0].Deleted > 0 {
		t.Errorf("sync: %+v, %v", results, err)
	}
	if err := os.WriteFile(r.Path(), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A user is not renamed while a config is taken up: the servers that are being made
// would not be told whom to disconnect.
func TestARenameWaitsForAReload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, home := r.Home(1)
	r.Start()
	r.Sync()

	a := r.own()
	a.tls.mu.Lock() // the new server is not made before
	r.Configure(strings.Replace(agenttest.Plain, `tls = "off"`, `tls = "starttls"`, 1), home)
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		a.Reload()
	}()
	agenttest.Eventually(t, "the config is being taken up", func() bool { return a.Config().IMAP.TLS == config.StartTLS })
	renamed := make(chan error, 1)
	go func() {
		_, err := r.Ops().RenameUser(t.Context(), "ann", "bea")
		renamed <- err
	}()
	select {
	case err := <-renamed:
		t.Errorf("a user was renamed while a config was taken up: %v", err)
		renamed <- nil
	case <-time.After(100 * time.Millisecond): // one that does not wait has ended long before
	}
	a.tls.mu.Unlock()
	<-reloaded
	if err := <-renamed; err != nil {
		t.Error(err)
	}
}
