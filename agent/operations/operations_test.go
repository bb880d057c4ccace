package operations_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

func TestSyncChoosesAccounts(t *testing.T) {
	r := twoUsers(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	tests := []struct {
		ask  []string
		want string
	}{
		{nil, "home 3, work 2, bob 1"},
		{[]string{"work"}, "work 0"},
		{[]string{"bob", "HOME"}, "bob 0, home 0"},
		{[]string{"bob", "bob"}, "bob 0"},
	}
	for _, tt := range tests {
		var got []string
		for _, res := range r.Sync(tt.ask...) {
			got = append(got, fmt.Sprintf("%s %d", res.Account, res.New))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("sync %v: %s", tt.ask, diff)
		}
	}
	for _, ask := range [][]string{{"nobody"}, {"home", "hme"}, {""}} {
		_, err := r.Ops().Sync(t.Context(), ask, nil)
		if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "home, work, bob") {
			t.Errorf("sync %q: %v, hint %q", ask, err, fault.Hint(err))
		}
	}
}

func TestSyncReportsProgressOneAtATime(t *testing.T) {
	r := twoUsers(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	last := map[string]operations.Progress{} // a race would be seen by -race
	if _, err := r.Ops().Sync(t.Context(), nil, func(p operations.Progress) { last[p.Account] = p }); err != nil {
		t.Fatal(err)
	}
	for name, messages := range map[string]int{"home": 3, "work": 2, "bob": 1} {
		p := last[name]
		if !p.Done || p.Messages != messages || p.TotalMessages != messages || p.Bytes == 0 || p.Bytes != p.TotalBytes {
			t.Errorf("%s ended with %+v, want all of %d messages", name, p, messages)
		}
	}
}

func TestSyncThatIsGivenUp(t *testing.T) {
	r := newRig(t)
	_, port := agenttest.POP(t, "home", 3)
	slow, stalled := agenttest.Stalling(t, port, 40)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: slow})
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-stalled; cancel() }()
	if _, err := r.Ops().Sync(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCheckLooksAtEveryUser(t *testing.T) {
	r := twoUsers(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	r.Sync()
	seen := map[string]bool{}
	progress := func(p operations.Progress) { seen[p.User] = true }
	if problems, err := r.Ops().Check(t.Context(), progress); err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	if !seen["ann"] || !seen["bob"] {
		t.Errorf("progress of %v", seen)
	}
	files, err := filepath.Glob(filepath.Join(r.Dir, "data", "users", "bob", "mail", "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files of bob: %v, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	problems, err := r.Ops().Check(t.Context(), nil)
	if err != nil || len(problems) != 1 || problems[0].User != "bob" || problems[0].Code == "" || problems[0].Text == "" {
		t.Errorf("a file is gone: %+v, %v", problems, err)
	}

	// What cannot be repaired is a condition, until the file is back.
	lost, err := os.ReadFile(strings.Replace(files[0], "bob", "ann", 1)) // the same message
	if err != nil {
		t.Fatal(err)
	}
	repair := func(want string) {
		t.Helper()
		if _, err := r.Ops().Repair(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		r.Status()
		if c := r.Condition(health.CodeMessagesDamaged); c.Code != want {
			t.Errorf("condition %+v, want %q", c, want)
		}
	}
	repair(health.CodeMessagesDamaged)
	if err := os.WriteFile(files[0], lost, 0o600); err != nil {
		t.Fatal(err)
	}
	repair("")
}

func TestDevices(t *testing.T) {
	r := twoUsers(t)
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	add := func(user, name string, readOnly bool) error {
		_, err := r.Ops().AddDevice(t.Context(), operations.AddDevice{User: user, Name: name, Password: "password of " + name, ReadOnly: readOnly})
		return err
	}
	list := func() string {
		devices, err := r.Ops().Devices(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range devices {
			if d.CreatedAt.IsZero() || d.LastUsedAt != nil {
				t.Errorf("times of %+v", d)
			}
			out = append(out, fmt.Sprintf("%s/%s/%v", d.User, d.Name, d.ReadOnly))
		}
		return strings.Join(out, " ")
	}
	if err := errors.Join(add("ann", "phone", true), add("bob", "phone", false), add("ann", "pc", false)); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "ann/pc/false ann/phone/true bob/phone/false" {
		t.Errorf("devices: %s", got)
	}
	for _, tt := range []struct {
		kind fault.Kind
		err  error
	}{
		{fault.Config, add("", "tablet", false)},
		{fault.Config, add("cid", "tablet", false)},
		{fault.Conflict, add("ann", "phone", false)},
		{fault.Config, r.Ops().RevokeDevice(t.Context(), "", "phone")},
		{fault.NotFound, r.Ops().RevokeDevice(t.Context(), "", "tablet")},
		{fault.NotFound, r.Ops().RevokeDevice(t.Context(), "bob", "pc")},
		{fault.Config, r.Ops().RevokeDevice(t.Context(), "cid", "pc")},
	} {
		if !fault.Is(tt.err, tt.kind) || fault.Hint(tt.err) == "" {
			t.Errorf("want a fault of kind %v with a hint, got %v", tt.kind, tt.err)
		}
	}
	if err := errors.Join(r.Ops().RevokeDevice(t.Context(), "", "pc"), r.Ops().RevokeDevice(t.Context(), "ann", "phone")); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != "bob/phone/false" {
		t.Errorf("after revoking: %s", got)
	}
}

// A login is for one user; nobody learns which half of it was wrong.
func TestLogins(t *testing.T) {
	t.Parallel()
	r := twoUsers(t)
	r.Start()
	r.Sync()
	refusal := func(user, password string) string {
		c, err := imapclient.DialInsecure(r.Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		err = c.Login(user, password).Wait()
		if err == nil {
			t.Fatalf("%s logged in with %q", user, password)
		}
		return err.Error()
	}
	if a, b := refusal("ann", "wrong"), refusal("nobody", agenttest.DevicePassword); a != b {
		t.Errorf("a wrong password: %s\nan unknown user: %s", a, b)
	}
	if got := len(agenttest.Read(t, r.Addr, "bob", "INBOX")); got != 1 {
		t.Errorf("bob sees %d messages, want his 1", got)
	}
	first, second := agenttest.Login(t, r.Addr, "ann", nil), agenttest.Login(t, r.Addr, "bob", nil)
	agenttest.Eventually(t, "two clients are counted", func() bool { return r.Status().Clients == 2 })
	if err := errors.Join(first.Logout().Wait(), second.Logout().Wait()); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, "they are gone", func() bool { return r.Status().Clients == 0 })

	if err := r.Ops().RevokeDevice(t.Context(), "ann", "test"); err != nil {
		t.Fatal(err)
	}
	refusal("ann", agenttest.DevicePassword)
}

// Everything at once, while mail clients read: for the race detector.
func TestOperationsSideBySide(t *testing.T) {
	r := twoUsers(t)
	r.Start()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, err := r.Ops().Sync(t.Context(), nil, func(operations.Progress) {}); err != nil {
				t.Errorf("sync: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := r.Ops().Status(t.Context()); err != nil {
				t.Errorf("status: %v", err)
			}
		})
		wg.Go(func() {
			name := fmt.Sprintf("device%d", i)
			if _, err := r.Ops().AddDevice(t.Context(), operations.AddDevice{User: "ann", Name: name, Password: "password of " + name}); err != nil {
				t.Errorf("device: %v", err)
			}
		})
		wg.Go(func() { r.Agent.Reload() })
		wg.Go(func() { agenttest.Read(t, r.Addr, "ann", "INBOX") })
	}
	wg.Wait()
	r.Sync()
	agenttest.SameBytes(t, agenttest.Read(t, r.Addr, "ann", "INBOX"), [][]byte{testkit.Message(0), testkit.Message(1), testkit.Message(2)})
}

// A device that is revoked is out at once, the others of its user stay.
func TestARevokedDeviceIsDisconnected(t *testing.T) {
	r := twoUsers(t)
	r.Start()
	lost, kept := agenttest.Login(t, r.Addr, "ann", nil), agenttest.Login(t, r.Addr, "bob", nil)
	if err := r.Ops().RevokeDevice(t.Context(), "ann", "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost.Closed():
	case <-time.After(agenttest.Patience):
		t.Error("the revoked device is still connected")
	}
	if err := kept.Noop().Wait(); err != nil {
		t.Errorf("a device of another user: %v", err)
	}
}

func TestCommandsThatCanBeCopied(t *testing.T) {
	for path, want := range map[string]string{
		"":                      "popbridge sync",
		config.DefaultPath():    "popbridge sync",
		"/etc/pop.toml":         "popbridge sync --config /etc/pop.toml",
		"/home/a b/config.toml": `popbridge sync --config "/home/a b/config.toml"`,
	} {
		if got := config.Command(path, "sync"); got != want {
			t.Errorf("%q: %s", path, got)
		}
	}
}
