package agent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// runnerOf tells whether an account was restarted: a new one has a new runner.
func (r *rig) runnerOf(name string) any {
	for _, ac := range r.agent.accounts.All() {
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
	_, aPort := pop(t, "a", 1)
	_, bPort := pop(t, "b", 2)
	_, cPort := pop(t, "c", 3)
	a := testAccount{name: "a", user: "ann", folder: "INBOX", port: aPort}
	b := testAccount{name: "b", user: "ann", folder: "B", port: bPort}
	c := testAccount{name: "c", user: "cid", folder: "INBOX", port: cPort}
	r.configure(plain, a, b)
	r.start()
	r.sync()
	client := login(t, r.addr, "ann", nil)
	runnerA, runnerB := r.runnerOf("a"), r.runnerOf("b")

	// b goes elsewhere, c is new, a stays.
	b.folder = "Elsewhere"
	r.configure(plain, a, b, c)
	r.agent.Reload()
	if r.runnerOf("a") != runnerA {
		t.Error("an account that did not change was restarted")
	}
	r.sync()
	if r.runnerOf("b") == runnerB {
		t.Error("an account that changed was not restarted")
	}
	r.addDevice("cid")
	if got := len(read(t, r.addr, "cid", "INBOX")); got != 3 {
		t.Errorf("the new user has %d messages, want 3", got)
	}
	if err := client.Noop().Wait(); err != nil {
		t.Errorf("a client was disturbed: %v", err)
	}

	// b is removed; its mail stays.
	r.configure(plain, a, c)
	r.agent.Reload()
	if _, err := r.agent.ops.Sync(t.Context(), []string{"b"}, nil); !fault.Is(err, fault.Config) {
		t.Errorf("a removed account is still known: %v", err)
	}
	if got := len(read(t, r.addr, "ann", "B")); got != 2 {
		t.Errorf("%d messages of the removed account are left, want 2", got)
	}

	// A user whose accounts are gone can log in as before.
	r.configure(plain, a)
	r.agent.Reload()
	read(t, r.addr, "cid", "INBOX")
}

// A config with errors changes nothing but health, until it is correct again.
func TestAnInvalidConfigLeavesTheOldOne(t *testing.T) {
	r := newRig(t)
	_, port := pop(t, "home", 2)
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, home)
	r.start()
	r.sync()
	before := r.agent.Config()

	r.configure(plain+"tsl = \"off\"\nlisten_to = 3", home)
	r.agent.Reload()
	if r.agent.Config() != before {
		t.Error("the config in force changed")
	}
	health := r.status().Health
	if len(health) != 1 || health[0].Code != "config-invalid" || health[0].Hint == "" {
		t.Fatalf("health: %+v", health)
	}
	for _, key := range []string{"tsl", "listen_to"} {
		if !strings.Contains(health[0].Text, key) {
			t.Errorf("the condition does not name %s: %s", key, health[0].Text)
		}
	}
	r.sync()

	if err := os.Remove(r.path()); err != nil {
		t.Fatal(err)
	}
	r.agent.Reload()
	if got := r.codes(); got != "config-invalid" {
		t.Errorf("without a config file: %q", got)
	}

	r.configure(plain, home)
	r.agent.Reload()
	if got := r.codes(); got != "" {
		t.Errorf("after it was corrected: %q", got)
	}
}

// The watcher notices what SIGHUP would say.
func TestAChangedFileIsNoticed(t *testing.T) {
	r := newRig(t)
	_, port := pop(t, "home", 2)
	r.configure(plain, testAccount{name: "home", user: "ann", folder: "INBOX", port: port})
	r.start()
	r.configure(plain, testAccount{name: "renamed", user: "ann", folder: "INBOX", port: port})
	eventually(t, "the renamed account is there", func() bool { return r.status().Accounts[0].Name == "renamed" })
}

func TestWhatNeedsARestart(t *testing.T) {
	r := newRig(t)
	_, port := pop(t, "home", 2)
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, home)
	r.start()
	r.configure("keep_expunged = \"90d\"\n"+strings.Replace(plain, `"data"`, `"elsewhere"`, 1)+"[log]\nformat = \"json\"", home)
	for range 2 { // the second time nothing changed, and it still needs a restart
		r.agent.Reload()
		health := r.status().Health
		if len(health) != 1 || health[0].Code != "restart-needed" || !strings.Contains(health[0].Text, "data_dir and keep_expunged and log.format") {
			t.Fatalf("health: %+v", health)
		}
	}
	r.sync()
	if _, err := os.Stat(filepath.Join(r.dir, "elsewhere")); err == nil {
		t.Error("the new data folder was made while the old one is in use")
	}
	r.configure(plain, home)
	r.agent.Reload()
	if got := r.codes(); got != "" {
		t.Errorf("after it was taken back: %q", got)
	}
}

func TestTheLogLevelChangesAtOnce(t *testing.T) {
	r := newRig(t)
	r.configure(plain, testAccount{name: "home", user: "ann", folder: "INBOX", port: 1})
	levels := make(chan string, 10)
	r.setLevel = func(l string) { levels <- l }
	r.start()
	r.configure(plain+"[log]\nlevel = \"debug\"", testAccount{name: "home", user: "ann", folder: "INBOX", port: 1})
	r.agent.Reload()
	for level := range levels { // the watcher may have read the first config as well
		if level == "debug" {
			break
		}
	}
	if got := r.codes(); strings.Contains(got, "restart-needed") {
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
	_, port := pop(t, "home", 2)
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, home)
	r.start()
	r.sync()
	stays := login(t, r.addr, "ann", nil)

	two := fmt.Sprintf("data_dir = \"data\"\n[imap]\nlisten = [\"127.0.0.1:0\", %q]\ntls = \"off\"\n", busy.Addr())
	r.configure(two, home)
	r.agent.Reload()
	if got := r.codes(); got != "imap-port-busy" {
		t.Errorf("health with a busy port: %q", got)
	}
	if err := stays.Noop().Wait(); err != nil {
		t.Errorf("a client of the address that stays was disturbed: %v", err)
	}
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the address is had once it is free", func() bool {
		return slices.Contains(r.status().Listen, busy.Addr().String()) && r.codes() == ""
	})
	sameBytes(t, read(t, busy.Addr().String(), "ann", "INBOX"), [][]byte{testkit.Message(0), testkit.Message(1)})

	// With TLS all of them begin again, and the clients are told.
	r.configure(strings.Replace(two, `tls = "off"`, `tls = "starttls"`, 1), home)
	r.agent.Reload()
	if err := stays.Noop().Wait(); err == nil {
		t.Error("a client went on without the TLS that is wanted now")
	}
	plainLogin, err := imapclient.DialInsecure(busy.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plainLogin.Close() }()
	if err := plainLogin.Login("ann", devicePassword).Wait(); err == nil {
		t.Error("a login without TLS was taken")
	}
}

// A config file that is half written, by an editor that writes in place, is not taken
// up by commands: the mail of an account in shadow stays on its server.
func TestAHalfWrittenConfigIsNotTakenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := pop(t, "a", 1)
	r.configure(plain, testAccount{name: "a", user: "ann", folder: "INBOX", port: port, more: "keep_on_server = \"never\"\nconfirm_deletes = false\nshadow = true"})
	r.start()
	r.sync()
	text, err := os.ReadFile(r.path())
	if err != nil {
		t.Fatal(err)
	}
	half := text[:strings.Index(string(text), "shadow = true")]
	if err := os.WriteFile(r.path(), half, 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := r.agent.ops.Sync(t.Context(), nil, nil)
	if err != nil || len(results) != 1 || results[0].Deleted > 0 {
		t.Errorf("sync: %+v, %v", results, err)
	}
	if err := os.WriteFile(r.path(), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
