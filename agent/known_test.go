package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/internal/fault"
)

// moveData gives the config another data folder.
func (r *rig) moveData(to string, accounts ...agenttest.Account) {
	r.t.Helper()
	r.Configure(strings.Replace(agenttest.Plain, `"data"`, `"`+to+`"`, 1), accounts...)
}

// What the first poll of a new account brings is new on that day.
func TestTheFirstPollIsInTheHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Home(3)
	r.Start()
	r.Sync()
	days, err := r.Ops().History(t.Context())
	if err != nil || len(days) != 1 || days[0].Messages != 3 {
		t.Errorf("%v, %v", days, err)
	}
}

// A data folder in which there has never been mail may be given up without a word;
// one with mail is missed.
func TestOnlyMailIsMissed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, home := r.Home(3)
	r.Agent = r.Open()
	if probes, err := r.Ops().Probe(t.Context(), nil); err != nil || probes[0].Error != "" {
		t.Fatal(probes, err)
	}
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.moveData("second", home)
	r.Agent = r.Open()
	if got := r.Sync(); got[0].New != 3 {
		t.Errorf("sync in another folder: %+v", got)
	}
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.moveData("third", home)
	if a, err := Open(t.Context(), r.Load(), Options{}); !Waits(err) || !strings.Contains(err.Error(), filepath.Join(r.Dir, "second")) || !strings.Contains(fault.Hint(err), "popbridge restore DIR") {
		if err == nil {
			_ = a.Close()
		}
		t.Errorf("without its mail: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, "third", "users")); err == nil {
		t.Error("something was made where the mail should be")
	}
	if _, err := users.Confirm(t.Context(), r.Load(), "", []string{"ann"}); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	if err := r.Agent.Close(); err != nil {
		t.Error(err)
	}
}

// A backup that is restored for another config is a store of its own from then on:
// what happens to it says nothing about the first one.
func TestARestoredCopyIsNotTheOriginal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	srv, home := r.Home(3)
	r.Start()
	r.Sync()
	saved := filepath.Join(r.Dir, "saved")
	if _, err := r.Ops().Backup(t.Context(), saved, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}

	copied := newRig(t)
	copied.Configure(agenttest.Plain, home)
	if _, err := operations.Restore(t.Context(), copied.Load(), saved, operations.RestoreOptions{Devices: true}); err != nil {
		t.Fatal(err)
	}
	srv.Add([]byte("Subject: more\r\n\r\nmore\r\n"))
	copied.StartWith()
	copied.Sync()
	if err := copied.Stop(); err != nil {
		t.Fatal(err)
	}

	r.StartWith()
	if c := r.Condition(health.CodeStorePutBack); c.Code != "" {
		t.Errorf("the original is taken for a copy: %+v", c)
	}
}

// What is in its place needs no confirmation, and stays known.
func TestThereIsNothingToConfirm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Home(3)
	r.Start()
	r.Sync()
	for range 2 {
		if _, err := users.Confirm(t.Context(), r.Load(), "", []string{"ann"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("confirm: %v", err)
		}
	}
	if r.own().users.Known().Users["ann"].Store == "" {
		t.Error("the store of ann is not known any more")
	}
}
