package agent

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestTheDataFolderIsPrivateAndOfOneProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(plain, testAccount{name: "home", user: "ann", folder: "INBOX", port: 1})
	a := r.open()
	info, err := os.Stat(filepath.Join(r.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode().Perm())
	}
	if _, err := Open(t.Context(), r.load(), Options{}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second agent: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.open().Close(); err != nil {
		t.Error(err)
	}
}

// A busy port is said at the start, and nothing is left behind.
func TestABusyPortAtTheStart(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	r := newRig(t)
	r.configure(strings.ReplaceAll(plain, "127.0.0.1:0", busy.Addr().String()), testAccount{name: "home", user: "ann", folder: "INBOX", port: 1})
	err = r.open().Run(t.Context())
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), busy.Addr().String()) || !strings.Contains(fault.Hint(err), "listen = [") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	if err := r.open().Close(); err != nil {
		t.Error(err)
	}
}

// The same questions get the same answers from a running agent, through its
// socket, and from a folder that is opened for the question.
func TestAnswersWithAndWithoutARunningAgent(t *testing.T) {
	r := newRig(t)
	_, port := pop(t, "home", 5)
	r.configure(plain, testAccount{name: "home", user: "ann", folder: "INBOX", port: port})
	r.start()
	r.sync()
	client, err := control.Connect(t.Context(), filepath.Join(r.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	running := ask(t, client)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	own := r.open()
	defer func() { _ = own.Close() }()
	alone := ask(t, own.Operations())

	onlyServed := cmpopts.IgnoreFields(operations.Status{}, "Running", "PID", "Listen", "Health")
	times := cmpopts.IgnoreFields(operations.Account{}, "NextPoll", "LastSuccess")
	if diff := cmp.Diff(running, alone, onlyServed, times, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
		t.Errorf("(-running +alone)\n%s", diff)
	}
	if alone.Status.Accounts[0].Stored != 5 || len(alone.Devices) != 1 || alone.Sync[0].Stored != 5 {
		t.Errorf("got %+v", alone)
	}
}

type answers struct {
	Status  operations.Status
	Sync    []operations.SyncResult
	Devices []operations.Device
	Check   []operations.Problem
	Unknown string
}

func ask(t *testing.T, ops operations.Operations) (a answers) {
	t.Helper()
	var err error
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a.Sync, err = ops.Sync(t.Context(), nil, nil)
	fail(err)
	a.Status, err = ops.Status(t.Context())
	fail(err)
	a.Devices, err = ops.Devices(t.Context())
	fail(err)
	a.Check, err = ops.Check(t.Context(), nil)
	fail(err)
	_, err = ops.Sync(t.Context(), []string{"hme"}, nil)
	a.Unknown = err.Error() + " / " + fault.Hint(err)
	if len(a.Check) == 0 {
		a.Check = nil
	}
	return a
}

// One server that never answers and one damaged store are the failure of their
// accounts; all others go on.
func TestTroubleStaysWhereItIs(t *testing.T) {
	r := newRig(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts by backlog, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	good, goodPort := pop(t, "good", 5)
	_, damagedPort := pop(t, "damaged", 5)
	damaged := filepath.Join(r.dir, "data", "users", "bob")
	if err := os.MkdirAll(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "index.db"), []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.configure(plain,
		testAccount{name: "silent", user: "ann", folder: "INBOX", port: silent.Addr().(*net.TCPAddr).Port},
		testAccount{name: "damaged", user: "bob", folder: "INBOX", port: damagedPort},
		testAccount{name: "good", user: "ann", folder: "INBOX", port: goodPort})
	r.agent = r.open()
	if _, err := r.agent.ops.AddDevice(t.Context(), operations.AddDevice{User: "bob", Name: "test", Password: devicePassword}); err == nil {
		t.Error("a device was added to a damaged store")
	}
	if err := r.agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.startWith("ann")
	if got := r.sync("good")[0]; got.Stored != 5 {
		t.Errorf("sync: %+v", got)
	}
	sameBytes(t, read(t, r.addr, "ann", "INBOX"), good.sent)
	eventually(t, "the damaged store is one condition", func() bool { return r.codes() == "store-corrupt" })
	for _, acc := range r.status().Accounts {
		if acc.Name == "damaged" && (acc.LastError == "" || acc.State != "backoff") {
			t.Errorf("status: %+v", acc)
		}
	}
}

// Stopping says BYE to who waits, keeps every message that had arrived in
// full, and ends within its time.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	srv, port := pop(t, "home", 0)
	size := 0
	for i := range 30 {
		m := testkit.Message(i)
		srv.Add(m)
		size += len(m)
	}
	slow, stalled := stalling(t, port, int64(size/2))
	r.configure(plain, testAccount{name: "home", user: "ann", folder: "INBOX", port: slow})
	r.start()
	c := login(t, r.addr, "ann", &imapclient.Options{})
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	<-stalled // the server is silent in the middle of a message
	eventually(t, "some of it is on the disk", func() bool {
		user := filepath.Join(r.dir, "data", "users", "ann")
		spooled, _ := filepath.Glob(filepath.Join(user, "tmp", "*"))
		stored, _ := filepath.Glob(filepath.Join(user, "mail", "*", "*"))
		return len(spooled)+len(stored) > 5 // the last one may be half
	})

	if err := r.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if err := idle.Wait(); err == nil {
		t.Error("IDLE ended well although the server went away")
	}
	if _, err := control.Connect(t.Context(), filepath.Join(r.dir, "data")); err == nil {
		t.Error("the control socket still answers")
	}
	own := r.open()
	defer func() { _ = own.Close() }()
	s, err := own.ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Accounts[0].Stored; got < 5 || got > 29 {
		t.Errorf("%d messages are stored; about half of 30 had arrived", got)
	}
}

// A ca_file that is gone is the failure of its account until it is back.
func TestAnAccountThatCannotBeMade(t *testing.T) {
	r := newRig(t)
	ca := testkit.CA(t)
	file := filepath.Join(r.dir, "ca.pem")
	home := testAccount{name: "home", user: "ann", folder: "INBOX", port: popTLS(t, "home", ca.ServerConfig)}
	home.change("tls = \"none\"", "tls = \"implicit\"\nca_file = \"ca.pem\"")
	r.configure(plain, home)
	r.start()
	eventually(t, "the missing file is a condition", func() bool { return r.codes() == "account-config" })
	if got := r.status().Accounts[0]; got.State != "backoff" || !strings.Contains(got.LastError, "ca_file") {
		t.Errorf("status: %+v", got)
	}
	pem, err := os.ReadFile(ca.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	r.sync() // does not wait for the pause to end
	eventually(t, "the condition is over", func() bool { return r.codes() == "" })
}

// What does not end in time is given up, and said.
func TestDrainGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := &supervise.Group{Context: t.Context()}
		release := make(chan struct{})
		group.Start(func(context.Context) { <-release })
		began := time.Now()
		if err := drain(group); !fault.Is(err, fault.Internal) || fault.Hint(err) == "" {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != drainWithin {
			t.Errorf("gave up after %v, want %v", took, drainWithin)
		}
		close(release)
	})
}
