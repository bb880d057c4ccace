package operations_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

// The table of providers needs no network: what it knows is told step by step.
func TestDiscoverTellsItsSteps(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	var steps []string
	found, err := r.Ops().Discover(t.Context(), operations.Address{Address: " ann@GMX.de"}, func(p operations.Progress) {
		steps = append(steps, p.Step+" "+p.Asked+": "+p.Answer)
	})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	f := found[0]
	if len(steps) == 0 || !strings.HasPrefix(steps[0], "table ") || !strings.Contains(steps[0], "pop.gmx.net:995") {
		t.Errorf("steps %q", steps)
	}
	want := operations.MailServer{Host: "pop.gmx.net", Port: 995, TLS: "implicit", Username: "ann@gmx.de"}
	if diff := cmp.Diff(want, f.POP); diff != "" || f.Address != "ann@gmx.de" || f.SMTP.Host == "" || len(f.Doubts) != 0 {
		t.Errorf("%s%+v", diff, f)
	}
	if len(f.Advice.Needs) == 0 || f.Advice.Needs[0][0] != "enable-pop" || f.Advice.HelpURLs == nil {
		t.Errorf("advice %+v", f.Advice)
	}
	for address, kind := range map[string]fault.Kind{"ann": fault.Config, "ann@icloud.com": fault.NotFound} {
		if _, err := r.Ops().Discover(t.Context(), operations.Address{Address: address}, func(operations.Progress) {}); !fault.Is(err, kind) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTryAndAddAccount(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	_, port := agenttest.POP(t, "work", 2)
	ask := operations.NewAccount{Address: "work@example.com", Password: "guess", OtherUsername: "work", Keep: "30d",
		Server: operations.MailServer{Host: "127.0.0.1", Port: port, TLS: "none", Username: "work@example.com"}}
	tried, err := r.Ops().TryAccount(t.Context(), ask)
	if err != nil || !tried.Refused || tried.Error == "" || tried.Kind != "auth" || len(tried.Wrong) > 0 {
		t.Errorf("a wrong password: %+v, %v", tried, err)
	}
	ask.Password = agenttest.POPPassword
	tried, err = r.Ops().TryAccount(t.Context(), ask)
	if err != nil || tried.Error != "" || tried.Username != "work" || tried.Messages != 2 || tried.Bytes == 0 {
		t.Fatalf("%+v, %v", tried, err)
	}
	ask.Server.Username, ask.SMTP = tried.Username, operations.MailServer{Host: "smtp.example.com", Port: 587, TLS: "starttls", Username: "work"}
	added, err := r.Ops().AddAccount(t.Context(), ask)
	if err != nil || len(added.Wrong) > 0 || added.Account != "work@example.com" || added.User != "me" {
		t.Fatalf("%+v, %v", added, err)
	}
	cfg := r.Load()
	sends, _ := cfg.Account("work@example.com")
	if want := (config.Send{Host: "smtp.example.com", Port: 587, TLS: config.StartTLS, Auth: config.AuthPassword}); !cmp.Equal(sends.Send, want) || !slices.Equal(sends.Addresses, []string{"work@example.com"}) {
		t.Errorf("it sends by %+v from %v", sends.Send, sends.Addresses)
	}
	if got := r.Sync("work@example.com"); got[0].New != 2 && got[0].Stored != 2 {
		t.Errorf("sync %+v", got)
	}
	known, err := r.Ops().Discover(t.Context(), operations.Address{Address: "work@example.com"}, func(operations.Progress) {})
	if err != nil || known[0].Account != "work@example.com" {
		t.Errorf("an address that is there: %+v, %v", known, err)
	}
	for address, want := range map[string]string{"Work@example.com": "work@example.com", "new@example.com": "", "new@here": ""} {
		steps := 0
		known, err := r.Ops().Discover(t.Context(), operations.Address{Address: address, ByHand: true}, func(operations.Progress) { steps++ })
		if err != nil || known[0].Account != want || known[0].POP.Host != "" || steps != 0 {
			t.Errorf("%s by hand: %+v after %d steps, %v", address, known, steps, err)
		}
	}
	if again, err := r.Ops().AddAccount(t.Context(), ask); err != nil || len(again.Wrong) == 0 {
		t.Errorf("the same once more: %+v, %v", again, err)
	}
	ask.Address, ask.Server.Username = "ann@bücher.example", "other"
	if added, err := r.Ops().AddAccount(t.Context(), ask); err != nil || added.Account != "ann@xn--bcher-kva.example" {
		t.Errorf("an address in other letters: %+v, %v", added, err)
	}
	if known, err := r.Ops().Discover(t.Context(), operations.Address{Address: ask.Address}, func(operations.Progress) {}); err != nil || known[0].Account == "" {
		t.Errorf("it is not found again: %+v, %v", known, err)
	}
	device, err := r.Ops().MakeFirstDevice(t.Context(), operations.DeviceOf{User: "me"})
	if err != nil || device.Name != operations.FirstDeviceName || device.Password == "" || device.Server.Port == 0 || device.Server.TLS != "none" {
		t.Errorf("%+v, %v", device, err)
	}
	if out := device.Outgoing; out.Host != "127.0.0.1" || out.Port == 0 || out.Port == device.Server.Port || out.TLS != "none" || out.Username != "me" {
		t.Errorf("it sends by %+v", out)
	}
	if second, err := r.Ops().MakeFirstDevice(t.Context(), operations.DeviceOf{User: "me"}); err != nil || second.Password != "" {
		t.Errorf("a second one: %+v, %v", second, err)
	}
	if none, err := r.Ops().MakeFirstDevice(t.Context(), operations.DeviceOf{}); !fault.Is(err, fault.Config) || fault.Hint(err) == "" || none.Password != "" {
		t.Errorf("for nobody: %+v, %v", none, err)
	}
	text := r.Text()
	if strings.Contains(text, agenttest.POPPassword) || !strings.Contains(text, `keep_on_server = "30d"`) {
		t.Errorf("config\n%s", text)
	}
}

// A password that no mail program could use is not made.
func TestNoDeviceWhereNothingListens(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.Configure(agenttest.Plain, home, agenttest.Account{Name: "work", User: "eve", Folder: "INBOX", Port: home.Port})
	r.Agent = r.Open()
	t.Cleanup(func() { _ = r.Agent.Close() })
	first, err := r.Ops().MakeFirstDevice(t.Context(), operations.DeviceOf{User: "eve"})
	if !fault.Is(err, fault.Config) || fault.Hint(err) == "" || first.Password != "" {
		t.Errorf("%+v, %v", first, err)
	}
	devices, err := r.Ops().Devices(t.Context())
	if err != nil || slices.ContainsFunc(devices, func(d operations.Device) bool { return d.User == "eve" }) {
		t.Errorf("%+v, %v", devices, err)
	}
}

// What cannot be written is said by its key, and nothing is written.
func TestWhatIsTypedWrong(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	before := r.Text()
	good := operations.MailServer{Host: "pop.example.com", Port: 995, TLS: "implicit", Username: "ann"}
	for _, tt := range []struct {
		change func(*operations.NewAccount)
		want   string
	}{
		{func(a *operations.NewAccount) { a.Server.Host = "a b" }, "host"},
		{func(a *operations.NewAccount) { a.Server.Port = 70000 }, "port"},
		{func(a *operations.NewAccount) { a.Server.TLS = "ssl" }, "tls"},
		{func(a *operations.NewAccount) { a.Server.Username = "" }, "username"},
		{func(a *operations.NewAccount) { a.Keep = "forever\"\npassword_command = [\"id\"]\n#" }, "keep_on_server"},
		{func(a *operations.NewAccount) { a.Server.Host = "x\"\npassword_file = \"/etc/shadow" }, "host"},
		{func(a *operations.NewAccount) { a.Password = "" }, "password"},
		{func(a *operations.NewAccount) { a.Password = "a\nb" }, "password"},
	} {
		ask := operations.NewAccount{Address: "ann@example.com", Server: good, Password: "secret"}
		tt.change(&ask)
		added, err := r.Ops().AddAccount(t.Context(), ask)
		tried, tryErr := r.Ops().TryAccount(t.Context(), ask)
		if err != nil || tryErr != nil || len(added.Wrong) != 1 || added.Wrong[0].Key != tt.want || added.Wrong[0].Text == "" {
			t.Errorf("%s: %+v, %v, %v", tt.want, added.Wrong, err, tryErr)
		} else if diff := cmp.Diff(added.Wrong, tried.Wrong); diff != "" {
			t.Error(diff)
		}
	}
	if now := r.Text(); now != before {
		t.Errorf("it was written:\n%s", now)
	}
}

func TestSetAccount(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	set := func(settings map[string]string) operations.PlannedAccount {
		t.Helper()
		answer, err := r.Ops().SetAccount(t.Context(), operations.SetAccount{Account: "HOME", Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if wrong := set(map[string]string{"poll_every": "soon", "folder": "a//b"}).Wrong; len(wrong) != 2 || wrong[0].Key != "poll_every" && wrong[1].Key != "poll_every" {
		t.Errorf("%+v", wrong)
	}
	if wrong := set(map[string]string{"keep_on_server": "below 80%"}).Wrong; len(wrong) != 1 || wrong[0].Key != "keep_on_server" || wrong[0].Hint == "" {
		t.Errorf("%+v", wrong)
	}
	if wrong := set(map[string]string{"paused": "true\npassword_command = [\"id\"]"}).Wrong; len(wrong) != 1 || wrong[0].Key != "paused" {
		t.Errorf("%+v", wrong)
	}
	for _, key := range []string{"password_command", "password_file", "ca_file", "host", "name", "user", "nonsense", ""} {
		_, err := r.Ops().SetAccount(t.Context(), operations.SetAccount{Account: "home", Settings: map[string]string{key: "x"}})
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", key, err)
		}
	}
	set(map[string]string{"paused": "true", "quota": "1GB", "keep_on_server": "below 80%", "delete_on_server": "when expunged", "delete_grace": "3d"})
	got, err := r.Ops().AccountDetails(t.Context(), operations.AccountName{Account: "home"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"poll_every": "1h", "keep_on_server": "below 80%", "quota": "1GB", "delete_on_server": "when expunged", "delete_grace": "3d",
		"confirm_deletes": "true", "shadow": "false", "folder": "INBOX", "max_message_size": "200MB", "paused": "true", "address": "", "addresses": ""}, got.Settings); diff != "" {
		t.Error(diff)
	}
	if got.Password != "file" || got.Server.TLS != "none" || got.User != "ann" {
		t.Errorf("%+v", got)
	}
	for _, s := range r.Status().Accounts {
		if s.State != "paused" {
			t.Errorf("the agent has not taken it up: %+v", s)
		}
	}
	// What it has can be set again as it is.
	if wrong := set(got.Settings).Wrong; len(wrong) > 0 {
		t.Errorf("%+v", wrong)
	}
	set(map[string]string{"paused": "", "quota": "", "keep_on_server": "", "delete_on_server": "", "delete_grace": ""})
	removed, err := r.Ops().RemoveAccount(t.Context(), operations.AccountName{Account: "home"})
	if err != nil || removed.Account != "home" || len(r.Status().Accounts) != 0 {
		t.Errorf("%+v, %v", removed, err)
	}
}

// What a change would delete is said before it is made.
func TestPlanAccount(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	plan := func(settings map[string]string) operations.PlannedAccount {
		t.Helper()
		answer, err := r.Ops().PlanAccount(t.Context(), operations.SetAccount{Account: "home", Settings: settings})
		if err != nil || len(answer.Wrong) > 0 {
			t.Fatalf("%+v, %v", answer.Wrong, err)
		}
		return answer
	}
	before := r.Text()
	if p := plan(map[string]string{"poll_every": "2h"}).Preview; p != nil {
		t.Errorf("nothing about deletions: %+v", p)
	}
	if p := plan(map[string]string{"keep_on_server": "newest 1"}).Preview; len(p.Delete) != 2 || !p.NeedsConfirm || p.Error != "" || p.Delete[0].Subject == "" {
		t.Errorf("%+v", p)
	}
	if p := plan(map[string]string{"keep_on_server": "never", "confirm_deletes": "false"}).Preview; len(p.Delete) != 3 || p.NeedsConfirm {
		t.Errorf("%+v", p)
	}
	if p := plan(map[string]string{"keep_on_server": "never", "shadow": "true"}).Preview; !p.Shadow || p.NeedsConfirm {
		t.Errorf("%+v", p)
	}
	if now := previewed(t, r); len(now.Delete) != 0 || r.Text() != before {
		t.Errorf("a plan has changed something: %+v", now)
	}
	// Nor has the plan that does not ask allowed anything.
	if _, err := r.Ops().SetAccount(t.Context(), operations.SetAccount{Account: "home", Settings: map[string]string{"keep_on_server": "never"}}); err != nil {
		t.Fatal(err)
	}
	if now := previewed(t, r); len(now.Delete) != 3 || !now.NeedsConfirm {
		t.Errorf("%+v", now)
	}
}

// Who goes away after a change was written is not told that it failed: made once more, it
// would.
func TestAChangeThatIsWrittenIsDone(t *testing.T) {
	t.Parallel()
	r, _, home := agenttest.OneUser(t, open)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask := operations.NewAccount{Address: "work@example.com", Password: agenttest.POPPassword,
		Server: operations.MailServer{Host: "127.0.0.1", Port: home.Port, TLS: "none", Username: "work"}}
	if added, err := r.Ops().AddAccount(gone, ask); err != nil || len(added.Wrong) > 0 || len(r.Load().Accounts) != 2 {
		t.Errorf("added %+v, %v", added, err)
	}
	set, err := r.Ops().SetAccount(gone, operations.SetAccount{Account: "home", Settings: map[string]string{"paused": "true"}})
	if err != nil || len(set.Wrong) > 0 || !r.Load().Accounts[0].Paused {
		t.Errorf("set %+v, %v", set, err)
	}
	if removed, err := r.Ops().RemoveAccount(gone, operations.AccountName{Account: "home"}); err != nil || len(r.Load().Accounts) != 1 {
		t.Errorf("removed %+v, %v", removed, err)
	}
}

// No answer has a password of a provider, and no list is null.
func TestAnswersOfEditing(t *testing.T) {
	for _, v := range []any{operations.NewAccount{Password: "geheim"}, operations.SetLogin{Password: secret.Secret("geheim")}} {
		if text, err := json.Marshal(v); err != nil || strings.Contains(string(text), "geheim") {
			t.Errorf("%s, %v", text, err)
		}
	}
}

// An edit of the page is made by itself, of a config that is there, and of the account that
// was looked at.
func TestEditsOfThePage(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	t.Run("side by side", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				values := []map[string]string{{"notices": "false"}, {"keep_expunged": "40d"}, {"log.level": "warn"}}[i%3]
				if _, err := r.Ops().SetSettings(t.Context(), operations.SetSettings{Values: values}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		text := r.Text()
		for _, want := range []string{"notices = false\n", "keep_expunged = \"40d\"\n", "level = \"warn\"\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("lost: %s in\n%s", want, text)
			}
		}
	})
	t.Run("without a file", func(t *testing.T) {
		away := r.Path() + ".away"
		if err := os.Rename(r.Path(), away); err != nil {
			t.Fatal(err)
		}
		_, settingsErr := r.Ops().SetSettings(t.Context(), operations.SetSettings{Values: map[string]string{"notices": "true"}})
		_, addErr := r.Ops().AddAccount(t.Context(), operations.NewAccount{Address: "a@example.com", Password: "pw", Server: operations.MailServer{Host: "pop.example.com", Port: 995, TLS: "implicit", Username: "a"}})
		for _, err := range []error{settingsErr, addErr} {
			if !fault.Is(err, fault.Config) {
				t.Errorf("%v", err)
			}
		}
		if _, err := os.Stat(r.Path()); !os.IsNotExist(err) {
			t.Errorf("a config was made: %v", err)
		}
		if err := os.Rename(away, r.Path()); err != nil {
			t.Fatal(err)
		}
	})
}

// A password that was tried at one server is not stored where the account has another one
// meanwhile.
func TestAnAccountThatChangesWhileItsPasswordIsTried(t *testing.T) {
	t.Parallel()
	r, _, _ := agenttest.OneUser(t, open)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // a server that takes its time at PASS
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "+OK\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			answer := "+OK 0 0\r\n"
			switch verb, _, _ := strings.Cut(lines.Text(), " "); verb {
			case "CAPA", "AUTH":
				answer = "-ERR\r\n"
			case "PASS":
				close(asked)
				<-goOn
			case "LIST", "UIDL":
				answer = "+OK\r\n.\r\n"
			}
			_, _ = io.WriteString(conn, answer)
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	result := make(chan error, 1)
	go func() {
		_, err := r.Ops().SetLogin(context.WithoutCancel(t.Context()), operations.SetLogin{Account: "home", Password: "for-the-slow-server",
			Server: operations.MailServer{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: "none", Username: "home"}})
		result <- err
	}()
	select {
	case <-asked:
	case err := <-result:
		t.Fatalf("it did not come to the password: %v", err)
	}
	if _, err := r.Ops().SetAccount(t.Context(), operations.SetAccount{Account: "home", Settings: map[string]string{"poll_every": "7m"}}); err != nil {
		t.Error(err)
	}
	before := r.Text()
	close(goOn)
	if err := <-result; !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	password, err := os.ReadFile(filepath.Join(r.Dir, "password"))
	if err != nil || strings.Contains(string(password), "slow") || r.Text() != before {
		t.Errorf("it was stored: %s, %v\n%s", password, err, r.Text())
	}
}
