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

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestTheDataFolderIsPrivateAndOfOneProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	a := r.Open()
	info, err := os.Stat(filepath.Join(r.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode().Perm())
	}
	if _, err := Open(t.Context(), r.Load(), Options{}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second agent: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Open().Close(); err != nil {
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
	r.Configure(strings.ReplaceAll(agenttest.Plain, "127.0.0.1:0", busy.Addr().String()), agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	err = r.Open().Run(t.Context())
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), busy.Addr().String()) || !strings.Contains(fault.Hint(err), "listen = [") {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
	if err := r.Open().Close(); err != nil {
		t.Error(err)
	}
}

// The same questions get the same answers from a running agent, through its
// socket, and from a folder that is opened for the question.
func TestAnswersWithAndWithoutARunningAgent(t *testing.T) {
	r := newRig(t)
	r.Home(5)
	r.Start()
	r.Sync()
	client, err := control.Connect(t.Context(), filepath.Join(r.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	running := ask(t, client)
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	own := r.Open()
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
	good, goodPort := agenttest.POP(t, "good", 5)
	_, damagedPort := agenttest.POP(t, "damaged", 5)
	damaged := filepath.Join(r.Dir, "data", "users", "bob")
	if err := os.MkdirAll(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "index.db"), []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Configure(agenttest.Plain,
		agenttest.Account{Name: "silent", User: "ann", Folder: "INBOX", Port: silent.Addr().(*net.TCPAddr).Port},
		agenttest.Account{Name: "damaged", User: "bob", Folder: "INBOX", Port: damagedPort},
		agenttest.Account{Name: "good", User: "ann", Folder: "INBOX", Port: goodPort})
	r.Agent = r.Open()
	if _, err := r.Ops().AddDevice(t.Context(), operations.AddDevice{User: "bob", Name: "test", Password: agenttest.DevicePassword}); err == nil {
		t.Error("a device was added to a damaged store")
	}
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.StartWith("ann")
	if got := r.Sync("good")[0]; got.Stored != 5 {
		t.Errorf("sync: %+v", got)
	}
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "INBOX"), good.Sent)
	agenttest.Eventually(t, "the damaged store is one condition", func() bool { return r.Codes() == "store-corrupt" })
	for _, acc := range r.Status().Accounts {
		if acc.Name == "damaged" && (acc.LastError == "" || acc.Kind != "corrupt" || acc.State != "backoff") {
			t.Errorf("status: %+v", acc)
		}
	}
}

// Stopping says BYE to who waits, keeps every message that had arrived in
// full, and ends within its time.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	srv, port := agenttest.POP(t, "home", 0)
	size := 0
	for i := range 30 {
		m := testkit.Message(i)
		srv.Add(m)
		size += len(m)
	}
	slow, stalled := agenttest.Stalling(t, port, int64(size/2))
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: slow})
	r.Start()
	c := agenttest.Login(t, r.Addr, "ann", &imapclient.Options{})
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	<-stalled // the server is silent in the middle of a message
	agenttest.Eventually(t, "some of it is on the disk", func() bool {
		user := filepath.Join(r.Dir, "data", "users", "ann")
		spooled, _ := filepath.Glob(filepath.Join(user, "tmp", "*"))
		stored, _ := filepath.Glob(filepath.Join(user, "mail", "*", "*"))
		return len(spooled)+len(stored) > 5 // the last one may be half
	})

	if err := r.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if err := idle.Wait(); err == nil {
		t.Error("IDLE ended well although the server went away")
	}
	if _, err := control.Connect(t.Context(), filepath.Join(r.Dir, "data")); err == nil {
		t.Error("the control socket still answers")
	}
	own := r.Open()
	defer func() { _ = own.Close() }()
	s, err := own.Operations().Status(t.Context())
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
	file := filepath.Join(r.Dir, "ca.pem")
	home := agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: agenttest.POPTLS(t, "home", ca.ServerConfig)}
	home.Change("tls = \"none\"", "tls = \"implicit\"\nca_file = \"ca.pem\"")
	r.Configure(agenttest.Plain, home)
	r.Start()
	agenttest.Eventually(t, "the missing file is a condition", func() bool { return r.Codes() == "account-config" })
	if got := r.Status().Accounts[0]; got.State != "backoff" || got.Kind != "config" || !strings.Contains(got.LastError, "ca_file") {
		t.Errorf("status: %+v", got)
	}
	pem, err := os.ReadFile(ca.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	r.Sync() // does not wait for the pause to end
	agenttest.Eventually(t, "the condition is over", func() bool { return r.Codes() == "" })
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
