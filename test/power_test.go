package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/internal/testkit/ports"
	"github.com/popbridge/popbridge/test/rig"
)

// Invariants 1 and 2 under the worst that can happen to a process: the agent is ended
// again and again in the middle of a first fetch that deletes at the source.
// Nothing is lost, nothing is there twice, UIDs don't move.
func TestEndedInTheMiddleOfAFetch(t *testing.T) {
	rig.Need(t, "dovecot")
	n := 3000
	if testing.Short() {
		n = 600
	}
	for _, end := range []string{"SIGKILL", "SIGTERM"} {
		t.Run(end, func(t *testing.T) {
			d := dovecot(t, nil)
			for i := range n {
				if err := d.Put("home", testkit.Message(i)); err != nil {
					t.Fatal(err)
				}
			}
			want, err := rig.Retrieve(rig.Addr(d.POP3), "home")
			if err != nil {
				t.Fatal(err)
			}
			a := account(d, "home")
			a.KeepOnServer = "never"
			p := prepare(t, a)
			var before []served
			for round := range 4 {
				start(t, p) // polls at once
				stored := len(before)
				eventually(t, "a part is fetched", func() (bool, error) {
					status, err := p.Status(t.Context())
					if err != nil {
						return false, err
					}
					now := status.Accounts[0].Stored
					return now > stored || now == n, fmt.Errorf("%d stored", now)
				})
				if end == "SIGKILL" {
					if err := p.Kill(); err != nil {
						t.Fatal(err)
					}
				} else {
					stop(t, p)
				}
				before = unmoved(t, p, before, round)
				left, err := d.Count("home")
				if err != nil {
					t.Fatal(err)
				}
				if len(before)+left < n {
					t.Fatalf("round %d: %d messages here and %d on the server of %d", round, len(before), left, n)
				}
			}
			command(t, p, 0, "sync")
			start(t, p)
			compare(t, fetchAll(t, p, "INBOX"), want)
			if left, err := d.Count("home"); err != nil || left != 0 {
				t.Errorf("%d messages are left on the server; %v", left, err)
			}
			stop(t, p)
			command(t, p, 0, "check")
			if spool, err := filepath.Glob(filepath.Join(p.Data, "users", "*", "tmp", "*")); err != nil || len(spool) > 0 {
				t.Errorf("left in tmp: %v, %v", spool, err)
			}
		})
	}
}

// unmoved reads INBOX with an agent that polls nothing, and checks that what
// was there before is there still, under the same UIDs.
func unmoved(t *testing.T, p *rig.Popbridge, before []served, round int) []served {
	t.Helper()
	quiet := *p
	quiet.Dir = t.TempDir()
	ports, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	quiet.Port = ports[0]
	if err := quiet.Configure(unused()); err != nil {
		t.Fatal(err)
	}
	start(t, &quiet)
	now := fetchAll(t, &quiet, "INBOX")
	stop(t, &quiet)
	if len(now) < len(before) {
		t.Fatalf("round %d: INBOX had %d messages and has %d", round, len(before), len(now))
	}
	for i, b := range before {
		if now[i].uid != b.uid || now[i].sum != b.sum {
			t.Fatalf("round %d: message %d was UID %d and is UID %d, or has other bytes", round, i+1, b.uid, now[i].uid)
		}
	}
	return now
}
