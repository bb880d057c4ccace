package agent

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

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/testkit"
)

// twoUsers is a folder with accounts home and work of ann, and bob of bob.
func twoUsers(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	_, home := pop(t, "home", 3)
	_, work := pop(t, "work", 2)
	_, bob := pop(t, "bob", 1)
	r.configure(plain,
		testAccount{name: "home", user: "ann", folder: "INBOX", port: home},
		testAccount{name: "work", user: "ann", folder: "Work", port: work},
		testAccount{name: "bob", user: "bob", folder: "INBOX", port: bob})
	return r
}

func TestSyncChoosesAccounts(t *testing.T) {
	r := twoUsers(t)
	r.agent = r.open()
	defer func() { _ = r.agent.Close() }()
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
		for _, res := range r.sync(tt.ask...) {
			got = append(got, fmt.Sprintf("%s %d", res.Account, res.New))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("sync %v: %s", tt.ask, diff)
		}
	}
	for _, ask := range [][]string{{"nobody"}, {"home", "hme"}, {""}} {
		_, err := r.agent.ops.Sync(t.Context(), ask, nil)
		if !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "home, work, bob") {
			t.Errorf("sync %q: %v, hint %q", ask, err, fault.Hint(err))
		}
	}
}

func TestSyncReportsProgressOneAtATime(t *testing.T) {
	r := twoUsers(t)
	r.agent = r.open()
	defer func() { _ = r.agent.Close() }()
	last := map[string]operations.Progress{} // a race would be seen by -race
	if _, err := r.agent.ops.Sync(t.Context(), nil, func(p operations.Progress) { last[p.Account] = p }); err != nil {
		t.Fatal(err)
	}
	for name, messages := range map[string]int{"home": 3, "work": 2, "bob": 1} {
		p := last[name]
		if !p.Done || p.Messages != messages || p.Total != messages || p.Bytes == 0 || p.Bytes != p.AllBytes {
			t.Errorf("%s ended with %+v, want all of %d messages", name, p, messages)
		}
	}
}

func TestSyncThatIsGivenUp(t *testing.T) {
	r := newRig(t)
	_, port := pop(t, "home", 3)
	slow, stalled := stalling(t, port, 40)
	r.configure(plain, testAccount{name: "home", user: "ann", folder: "INBOX", port: slow})
	r.agent = r.open()
	defer func() { _ = r.agent.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-stalled; cancel() }()
	if _, err := r.agent.ops.Sync(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCheckLooksAtEveryUser(t *testing.T) {
	r := twoUsers(t)
	r.agent = r.open()
	defer func() { _ = r.agent.Close() }()
	r.sync()
	seen := map[string]bool{}
	progress := func(p operations.Progress) { seen[p.User] = true }
	if problems, err := r.agent.ops.Check(t.Context(), progress); err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	if !seen["ann"] || !seen["bob"] {
		t.Errorf("progress of %v", seen)
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "data", "users", "bob", "mail", "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files of bob: %v, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	problems, err := r.agent.ops.Check(t.Context(), nil)
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
		if _, err := r.agent.ops.Repair(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		r.status()
		if c := r.condition(health.CodeMessagesDamaged); c.Code != want {
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
	r.agent = r.open()
	defer func() { _ = r.agent.Close() }()
	add := func(user, name string, readOnly bool) error {
		_, err := r.agent.ops.AddDevice(t.Context(), operations.AddDevice{User: user, Name: name, Password: "password of " + name, ReadOnly: readOnly})
		return err
	}
	list := func() string {
		devices, err := r.agent.ops.Devices(t.Context())
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
		{fault.Config, r.agent.ops.RevokeDevice(t.Context(), "", "phone")},
		{fault.NotFound, r.agent.ops.RevokeDevice(t.Context(), "", "tablet")},
		{fault.NotFound, r.agent.ops.RevokeDevice(t.Context(), "bob", "pc")},
		{fault.Config, r.agent.ops.RevokeDevice(t.Context(), "cid", "pc")},
	} {
		if !fault.Is(tt.err, tt.kind) || fault.Hint(tt.err) == "" {
			t.Errorf("want a fault of kind %v with a hint, got %v", tt.kind, tt.err)
		}
	}
	if err := errors.Join(r.agent.ops.RevokeDevice(t.Context(), "", "pc"), r.agent.ops.RevokeDevice(t.Context(), "ann", "phone")); err != nil {
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
	r.start()
	r.sync()
	refusal := func(user, password string) string {
		c, err := imapclient.DialInsecure(r.addr, nil)
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
	if a, b := refusal("ann", "wrong"), refusal("nobody", devicePassword); a != b {
		t.Errorf("a wrong password: %s\nan unknown user: %s", a, b)
	}
	if got := len(read(t, r.addr, "bob", "INBOX")); got != 1 {
		t.Errorf("bob sees %d messages, want his 1", got)
	}
	first, second := login(t, r.addr, "ann", nil), login(t, r.addr, "bob", nil)
	eventually(t, "two clients are counted", func() bool { return r.status().Clients == 2 })
	if err := errors.Join(first.Logout().Wait(), second.Logout().Wait()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are gone", func() bool { return r.status().Clients == 0 })

	if err := r.agent.ops.RevokeDevice(t.Context(), "ann", "test"); err != nil {
		t.Fatal(err)
	}
	refusal("ann", devicePassword)
}

// Everything at once, while mail clients read: for the race detector.
func TestOperationsSideBySide(t *testing.T) {
	r := twoUsers(t)
	r.start()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, err := r.agent.ops.Sync(t.Context(), nil, func(operations.Progress) {}); err != nil {
				t.Errorf("sync: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := r.agent.ops.Status(t.Context()); err != nil {
				t.Errorf("status: %v", err)
			}
		})
		wg.Go(func() {
			name := fmt.Sprintf("device%d", i)
			if _, err := r.agent.ops.AddDevice(t.Context(), operations.AddDevice{User: "ann", Name: name, Password: "password of " + name}); err != nil {
				t.Errorf("device: %v", err)
			}
		})
		wg.Go(func() { r.agent.Reload() })
		wg.Go(func() { read(t, r.addr, "ann", "INBOX") })
	}
	wg.Wait()
	r.sync()
	sameBytes(t, read(t, r.addr, "ann", "INBOX"), [][]byte{testkit.Message(0), testkit.Message(1), testkit.Message(2)})
}

// A device that is revoked is out at once, the others of its user stay.
func TestARevokedDeviceIsDisconnected(t *testing.T) {
	r := twoUsers(t)
	r.start()
	lost, kept := login(t, r.addr, "ann", nil), login(t, r.addr, "bob", nil)
	if err := r.agent.ops.RevokeDevice(t.Context(), "ann", "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost.Closed():
	case <-time.After(patience):
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
