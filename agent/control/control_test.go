package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Microsoft/go-winio.ioCompletionProcessor"))
}

// fakeOps answers from fields and records what it was asked.
type fakeOps struct {
	status   operations.Status
	results  []operations.SyncResult
	problems []operations.Problem
	devices  []operations.Device
	users    []operations.User
	expunged []operations.Expunged
	restored []operations.Restored
	repaired []operations.Repaired
	backups  []operations.Backup
	previews []operations.Preview
	page     operations.Pairing
	err      error
	asked    string
	during   func(ctx context.Context, progress func(operations.Progress)) error // runs in Sync and Check
}

func (f *fakeOps) Status(context.Context) (operations.Status, error) { return f.status, f.err }

func (f *fakeOps) Sync(ctx context.Context, accounts []string, progress func(operations.Progress)) ([]operations.SyncResult, error) {
	f.asked = "sync " + strings.Join(accounts, " ")
	return f.results, errors.Join(f.work(ctx, progress), f.err)
}

func (f *fakeOps) Check(ctx context.Context, progress func(operations.Progress)) ([]operations.Problem, error) {
	return f.problems, errors.Join(f.work(ctx, progress), f.err)
}

func (f *fakeOps) Probe(_ context.Context, accounts []string) ([]operations.Probe, error) {
	return []operations.Probe{{Account: accounts[0], Messages: 7, Pin: "sha256:00"}}, nil
}

func (f *fakeOps) Preview(_ context.Context, accounts []string) ([]operations.Preview, error) {
	f.asked = "preview " + strings.Join(accounts, " ")
	return f.previews, f.err
}

func (f *fakeOps) Reload(context.Context) error {
	f.asked = "reload"
	return f.err
}

func (f *fakeOps) Confirm(_ context.Context, ask operations.Confirm) (operations.Confirmed, error) {
	f.asked = "confirm " + ask.Account + " " + ask.Seen
	return operations.Confirmed{User: "ann", Deletions: 3}, f.err
}

func (f *fakeOps) Repair(ctx context.Context, progress func(operations.Progress)) ([]operations.Repaired, error) {
	return f.repaired, errors.Join(f.work(ctx, progress), f.err)
}

func (f *fakeOps) Backup(ctx context.Context, dir string, replace bool, progress func(operations.Progress)) ([]operations.Backup, error) {
	f.asked = fmt.Sprintf("backup %s %v", dir, replace)
	return f.backups, errors.Join(f.work(ctx, progress), f.err)
}

func (f *fakeOps) Expunged(_ context.Context, q operations.ExpungedQuery) ([]operations.Expunged, error) {
	f.asked = fmt.Sprintf("expunged %s %s %s %v %d", q.User, q.Mailbox, q.Match, q.Since.UTC().Format(time.DateOnly), q.Limit)
	return f.expunged, f.err
}

func (f *fakeOps) History(context.Context) ([]state.Day, error) {
	return []state.Day{{Day: "2026-03-01", Messages: 3, Bytes: 4000}}, f.err
}

func (f *fakeOps) Undelete(_ context.Context, ask operations.Undelete) ([]operations.Restored, error) {
	f.asked = fmt.Sprintf("undelete %s %v %v", ask.User, ask.IDs, ask.All != nil)
	return f.restored, f.err
}

func (f *fakeOps) Outbox(context.Context) ([]operations.OutboxMessage, error) {
	return []operations.OutboxMessage{{User: "ann", ID: 17, Recipients: []operations.Recipient{{Address: "b@c"}}}}, f.err
}

func (f *fakeOps) DecideOutgoing(_ context.Context, ask operations.Decide) ([]operations.Decided, error) {
	f.asked = fmt.Sprintf("%s %s %d", ask.Do, ask.User, ask.IDs)
	return []operations.Decided{{ID: ask.IDs[0]}}, f.err
}

func (f *fakeOps) work(ctx context.Context, progress func(operations.Progress)) error {
	if f.during == nil {
		return nil
	}
	return f.during(ctx, progress)
}

func (f *fakeOps) AddDevice(_ context.Context, d operations.AddDevice) (operations.Device, error) {
	f.asked = fmt.Sprintf("add %s %s %s %v", d.User, d.Name, d.Password, d.ReadOnly)
	return operations.Device{User: d.User, Name: d.Name, ReadOnly: d.ReadOnly, Folders: d.Folders, Without: d.Without}, f.err
}

func (f *fakeOps) SetDevice(_ context.Context, d operations.SetDevice) (operations.Device, error) {
	f.asked = fmt.Sprintf("set %s %s %v %v %v", d.User, d.Name, *d.ReadOnly, d.Folders == nil, d.Without == nil)
	return f.devices[0], f.err
}

func (f *fakeOps) NewPassword(_ context.Context, ask operations.DeviceLogin) (operations.MadeDevice, error) {
	return operations.MadeDevice{Device: operations.Device{User: ask.User, Name: ask.Device}, Password: "made"}, f.err
}

func (f *fakeOps) Devices(context.Context) ([]operations.Device, error) { return f.devices, f.err }

func (f *fakeOps) Pair(_ context.Context, p operations.Pair) (operations.Pairing, error) {
	f.asked = fmt.Sprintf("pair %s %s %v", p.User, p.Device, p.Identities)
	return f.page, f.err
}

func (f *fakeOps) RevokeDevice(_ context.Context, user, name string) error {
	f.asked = "revoke " + user + " " + name
	return f.err
}

func (f *fakeOps) OpenWeb(_ context.Context, ask operations.OpenWeb) (operations.WebAddress, error) {
	f.asked = "open " + ask.UID
	return operations.WebAddress{URL: "http://127.0.0.1:1180/#t=x"}, f.err
}

func (f *fakeOps) WebSessions(context.Context) ([]operations.WebSession, error) {
	return []operations.WebSession{{ID: "A", Browser: "Firefox on Linux"}}, f.err
}

func (f *fakeOps) EndWebSession(_ context.Context, ask operations.WebSession) (operations.Ended, error) {
	f.asked = "sign out " + ask.ID
	return operations.Ended{Sessions: 1}, f.err
}

func (f *fakeOps) Report(context.Context) (operations.Report, error) {
	return operations.Report{Name: "popbridge-report.zip", Zip: []byte{0, 1, 255}, Files: []string{"README.txt"}}, f.err
}

func (f *fakeOps) Users(context.Context) ([]operations.User, error) { return f.users, f.err }

func (f *fakeOps) RenameUser(_ context.Context, from, to string) (operations.User, error) {
	f.asked = "rename " + from + " " + to
	return operations.User{Name: to}, f.err
}

// serve starts a server on a data folder and returns a client and what stops
// the server.
func serve(t *testing.T, ops operations.Operations) (c *Client, dir string, stop func()) {
	t.Helper()
	dir = shortTempDir(t)
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, ops, zerolog.Nop()) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	c, err = Connect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, dir, stop
}

// shortTempDir is a folder whose socket path fits on every system.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestEveryOperationAnswersTheSameThroughTheSocket(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ops := &fakeOps{
		status: operations.Status{Running: true, PID: 7, DataDir: "/d", Listen: []string{"127.0.0.1:1143"}, Clients: 2,
			Accounts: []operations.Account{{Name: "home", State: "idle", LastSuccess: &at, Stored: 5, OnServer: 3}},
			Health:   []health.Condition{{Code: "account-auth", Severity: health.Error, Text: "t", Hint: "h", Since: at}}},
		results:  []operations.SyncResult{{Account: "home", New: 3, Stored: 5}},
		problems: []operations.Problem{{User: "ann", Code: "missing", Text: "file is gone"}},
		devices:  []operations.Device{{User: "ann", Name: "phone", CreatedAt: at}},
		expunged: []operations.Expunged{{User: "ann", ExpungedMessage: mailstore.ExpungedMessage{ID: 17, Mailbox: "INBOX", Size: 100, Received: at, ExpungedAt: at, From: "Bob", Subject: "Invoice"}}},
		restored: []operations.Restored{{User: "ann", Restored: mailstore.Restored{ID: 17, Mailbox: "INBOX", UID: 9}}},
		repaired: []operations.Repaired{{User: "ann", RepairReport: mailstore.RepairReport{Rebuilt: true, Wanted: 1, Recovered: 2, Aside: "/x"},
			Repaired: []operations.Problem{{User: "ann", Code: "c", Text: "t"}}, Left: []operations.Problem{}}},
		previews: []operations.Preview{{Account: "home", Preview: bridge.Preview{Fetch: 3, Kept: 7, Policy: "p", NeedsConfirm: true}, Delete: []operations.Deletion{{UIDL: "u", Size: 5, StoredAt: &at, Reason: "r"}}}},
		backups:  []operations.Backup{{User: "ann", BackupReport: mailstore.BackupReport{Messages: 5, Files: 4, NewFiles: 3, Bytes: 2}, Missing: []operations.Problem{}}},
	}
	c, _, _ := serve(t, ops)
	ctx := t.Context()

	same(t, "status", ops.status)(c.Status(ctx))
	same(t, "sync", ops.results)(c.Sync(ctx, []string{"home", "work"}, nil))
	same(t, "asked", "sync home work")(ops.asked, nil)
	same(t, "check", ops.problems)(c.Check(ctx, nil))
	same(t, "preview", ops.previews)(c.Preview(ctx, []string{"home", "work"}))
	same(t, "asked", "preview home work")(ops.asked, nil)
	if err := c.Reload(ctx); err != nil || ops.asked != "reload" {
		t.Errorf("reload: asked %q; %v", ops.asked, err)
	}
	same(t, "confirm", operations.Confirmed{User: "ann", Deletions: 3})(c.Confirm(ctx, operations.Confirm{Account: "home", Seen: "d1"}))
	same(t, "asked", "confirm home d1")(ops.asked, nil)
	same(t, "repair", ops.repaired)(c.Repair(ctx, nil))
	same(t, "backup", ops.backups)(c.Backup(ctx, "/backup", true, nil))
	same(t, "asked", "backup /backup true")(ops.asked, nil)
	same(t, "expunged", ops.expunged)(c.Expunged(ctx, operations.ExpungedQuery{User: "ann", ExpungedQuery: mailstore.ExpungedQuery{Mailbox: "INBOX", Match: "voice", Limit: 7}, Since: &at}))
	same(t, "asked", "expunged ann INBOX voice 2026-01-02 7")(ops.asked, nil)
	same(t, "undelete", ops.restored)(c.Undelete(ctx, operations.Undelete{User: "ann", IDs: []int64{17, 18}}))
	same(t, "asked", "undelete ann [17 18] false")(ops.asked, nil)
	same(t, "undelete", ops.restored)(c.Undelete(ctx, operations.Undelete{All: &operations.ExpungedQuery{}}))
	same(t, "asked", "undelete  [] true")(ops.asked, nil)
	same(t, "outbox", []operations.OutboxMessage{{User: "ann", ID: 17, Recipients: []operations.Recipient{{Address: "b@c"}}}})(c.Outbox(ctx))
	same(t, "decide", []operations.Decided{{ID: 17}})(c.DecideOutgoing(ctx, operations.Decide{User: "ann", IDs: []int64{17}, Do: "retry"}))
	same(t, "asked", "retry ann [17]")(ops.asked, nil)
	same(t, "history", []state.Day{{Day: "2026-03-01", Messages: 3, Bytes: 4000}})(c.History(ctx))
	same(t, "devices", ops.devices)(c.Devices(ctx))
	same(t, "add", operations.Device{User: "ann", Name: "pc", ReadOnly: true})(c.AddDevice(ctx, operations.AddDevice{User: "ann", Name: "pc", Password: "s", ReadOnly: true}))
	same(t, "asked", "add ann pc s true")(ops.asked, nil)
	kids := operations.Device{User: "ann", Name: "kids", Folders: []string{"Family"}, Without: []string{"MOVE"}}
	same(t, "add", kids)(c.AddDevice(ctx, operations.AddDevice{User: "ann", Name: "kids", Folders: kids.Folders, Without: kids.Without}))
	no := false
	same(t, "set", ops.devices[0])(c.SetDevice(ctx, operations.SetDevice{User: "ann", Name: "pc", ReadOnly: &no, Without: []string{}}))
	same(t, "asked", "set ann pc false true false")(ops.asked, nil)
	ops.page = operations.Pairing{URL: "https://192.168.1.20:1994/x", Until: at, Fingerprint: "AB", Host: "192.168.1.20", Port: 1993}
	same(t, "password", operations.MadeDevice{Device: operations.Device{User: "ann", Name: "pc"}, Password: "made"})(c.NewPassword(ctx, operations.DeviceLogin{User: "ann", Device: "pc"}))
	same(t, "pair", ops.page)(c.Pair(ctx, operations.Pair{User: "ann", Device: "pc", Identities: []clientfiles.Identity{{Address: "a@example.com"}}}))
	if !strings.HasPrefix(ops.asked, "pair ann pc [{a@example.com") {
		t.Errorf("asked %q", ops.asked)
	}
	same(t, "open", operations.WebAddress{URL: "http://127.0.0.1:1180/#t=x"})(c.OpenWeb(ctx, operations.OpenWeb{UID: "1000"}))
	same(t, "asked", "open 1000")(ops.asked, nil)
	same(t, "browsers", []operations.WebSession{{ID: "A", Browser: "Firefox on Linux"}})(c.WebSessions(ctx))
	same(t, "sign out", operations.Ended{Sessions: 1})(c.EndWebSession(ctx, operations.WebSession{ID: "A"}))
	same(t, "asked", "sign out A")(ops.asked, nil)
	same(t, "report", operations.Report{Name: "popbridge-report.zip", Zip: []byte{0, 1, 255}, Files: []string{"README.txt"}})(c.Report(ctx))
	if err := c.RevokeDevice(ctx, "ann", "pc"); err != nil {
		t.Error(err)
	}
	same(t, "asked", "revoke ann pc")(ops.asked, nil)
}

func same[T any](t *testing.T, what string, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", what, diff)
		}
	}
}

func TestFaultsKeepKindTextAndHint(t *testing.T) {
	for k := fault.Internal; k <= fault.Denied; k++ {
		ops := &fakeOps{err: fault.New(k, "it went wrong", "do this")}
		c, _, _ := serve(t, ops)
		_, statusErr := c.Status(t.Context())
		_, syncErr := c.Sync(t.Context(), nil, nil)
		for _, err := range []error{statusErr, syncErr, c.RevokeDevice(t.Context(), "", "x")} {
			if fault.KindOf(err) != k || err.Error() != "it went wrong" || fault.Hint(err) != "do this" {
				t.Errorf("kind %v arrived as %v %q, hint %q", k, fault.KindOf(err), err, fault.Hint(err))
			}
		}
	}
}

func TestProgressArrivesBeforeTheResult(t *testing.T) {
	seen := make(chan struct{})
	ops := &fakeOps{results: []operations.SyncResult{{Account: "home"}},
		during: func(ctx context.Context, progress func(operations.Progress)) error {
			progress(operations.Progress{Progress: bridge.Progress{Account: "home", Messages: 1, TotalMessages: 2}})
			select { // the work goes on only after the client has seen it
			case <-seen:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
	c, _, _ := serve(t, ops)
	var got []operations.Progress
	_, err := c.Sync(t.Context(), nil, func(p operations.Progress) {
		got = append(got, p)
		close(seen)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]operations.Progress{{Progress: bridge.Progress{Account: "home", Messages: 1, TotalMessages: 2}}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	ops := &fakeOps{during: func(ctx context.Context, _ func(operations.Progress)) error {
		close(started)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}}
	c, _, _ := serve(t, ops)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	if _, err := c.Sync(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	<-ended
}

func TestStoppingAnswersRequestsInFlight(t *testing.T) {
	started := make(chan struct{})
	ops := &fakeOps{during: func(ctx context.Context, _ func(operations.Progress)) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}}
	c, dir, stop := serve(t, ops)
	go func() { <-started; stop() }()
	_, err := c.Sync(t.Context(), nil, nil)
	if !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("got %v", err)
	}
	stop()
	if _, err := Connect(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("after the stop: %v, want ErrNoAgent", err)
	}
}

func TestAPanicEndsOnlyItsRequest(t *testing.T) {
	ops := &fakeOps{during: func(context.Context, func(operations.Progress)) error { panic("boom") }}
	c, _, _ := serve(t, ops)
	if _, err := c.Sync(t.Context(), nil, nil); !fault.Is(err, fault.Temporary) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// Only what is dead is no agent: a command would open the data folder by itself.
func TestAnEndpointOfAnotherUserIsNoMissingAgent(t *testing.T) {
	err := unreachable(fmt.Errorf("open: %w", fs.ErrPermission))
	if !fault.Is(err, fault.Denied) || errors.Is(err, ErrNoAgent) || !strings.Contains(err.Error(), "runs as another user") || fault.Hint(err) != asThatUser {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	if err := unreachable(fs.ErrNotExist); !errors.Is(err, ErrNoAgent) {
		t.Errorf("a dead one: %v", err)
	}
}
