package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/internal/fault"
)

// moveData gives the config another data folder.
func (r *rig) moveData(to string, accounts ...testAccount) {
	r.t.Helper()
	r.configure(strings.Replace(plain, `"data"`, `"`+to+`"`, 1), accounts...)
}

// A data folder in which there has never been mail may be given up without a word;
// one with mail is missed.
func TestOnlyMailIsMissed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := pop(t, "home", 3)
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, home)
	r.agent = r.open()
	if probes, err := r.agent.ops.Probe(t.Context(), nil); err != nil || probes[0].Error != "" {
		t.Fatal(probes, err)
	}
	if err := r.agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.moveData("second", home)
	r.agent = r.open()
	if got := r.sync(); got[0].New != 3 {
		t.Errorf("sync in another folder: %+v", got)
	}
	if err := r.agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.moveData("third", home)
	if a, err := Open(t.Context(), r.load(), Options{}); !Waits(err) || !strings.Contains(err.Error(), filepath.Join(r.dir, "second")) || !strings.Contains(fault.Hint(err), "popbridge restore DIR") {
		if err == nil {
			_ = a.Close()
		}
		t.Errorf("without its mail: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "third", "users")); err == nil {
		t.Error("something was made where the mail should be")
	}
	if _, err := users.Confirm(t.Context(), r.load(), "", []string{"ann"}); err != nil {
		t.Fatal(err)
	}
	r.agent = r.open()
	if err := r.agent.Close(); err != nil {
		t.Error(err)
	}
}

// A backup that is restored for another config is a store of its own from then on:
// what happens to it says nothing about the first one.
func TestARestoredCopyIsNotTheOriginal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	srv, port := pop(t, "home", 3)
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: port}
	r.configure(plain, home)
	r.start()
	r.sync()
	saved := filepath.Join(r.dir, "saved")
	if _, err := r.agent.ops.Backup(t.Context(), saved, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	copied := newRig(t)
	copied.configure(plain, home)
	if _, err := operations.Restore(t.Context(), copied.load(), saved, withDevices); err != nil {
		t.Fatal(err)
	}
	srv.Add([]byte("Subject: more\r\n\r\nmore\r\n"))
	copied.startWith()
	copied.sync()
	if err := copied.stop(); err != nil {
		t.Fatal(err)
	}

	r.startWith()
	if c := r.condition(health.CodeStorePutBack); c.Code != "" {
		t.Errorf("the original is taken for a copy: %+v", c)
	}
}

// What is in its place needs no confirmation, and stays known.
func TestThereIsNothingToConfirm(t *testing.T) {
	t.Parallel()
	r, _, _ := oneUser(t)
	for range 2 {
		if _, err := users.Confirm(t.Context(), r.load(), "", []string{"ann"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("confirm: %v", err)
		}
	}
	if r.agent.users.Known().Users["ann"].Store == "" {
		t.Error("the store of ann is not known any more")
	}
}
