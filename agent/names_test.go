package agent

import (
	"fmt"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
)

// Whatever accounts are called from now on, the mail of each mailbox is known: none
// comes twice, under a running agent and without one.
func TestAccountsThatChangeNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(a, b *agenttest.Account) []agenttest.Account
		mail   int // in all that the config names then
	}{
		{"swapped", func(a, b *agenttest.Account) []agenttest.Account {
			a.Name, b.Name = b.Name, a.Name
			return []agenttest.Account{*a, *b}
		}, 7},
		{"servers swapped", func(a, b *agenttest.Account) []agenttest.Account {
			a.Port, b.Port = b.Port, a.Port
			return []agenttest.Account{*a, *b}
		}, 7},
		{"moved along", func(a, b *agenttest.Account) []agenttest.Account {
			a.Name, b.Name = "beta", "gamma"
			return []agenttest.Account{*a, *b}
		}, 7},
		{"used again", func(a, _ *agenttest.Account) []agenttest.Account { a.Name = "beta"; return []agenttest.Account{*a} }, 7},
		{"of the other mailbox", func(a, b *agenttest.Account) []agenttest.Account { a.Port = b.Port; return []agenttest.Account{*a} }, 7},
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %v", c.what, running), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				_, portA := agenttest.POP(t, "joe", 3)
				_, portB := agenttest.POP(t, "joe", 4)
				login := []string{"username = \"alpha\"", "username = \"joe\"", "username = \"beta\"", "username = \"joe\"", "username = \"gamma\"", "username = \"joe\""}
				a := agenttest.Account{Name: "alpha", User: "ann", Folder: "INBOX", Port: portA, Replace: login}
				b := agenttest.Account{Name: "beta", User: "ann", Folder: "INBOX", Port: portB, Replace: login}
				r.Configure(agenttest.Plain, a, b)
				r.Start()
				r.Sync()
				before := len(agenttest.Read(t, r.Addr, "ann", "INBOX"))
				changed := c.change(&a, &b)
				if running {
					r.Reload(changed...)
				} else {
					if err := r.Stop(); err != nil {
						t.Fatal(err)
					}
					r.Configure(agenttest.Plain, changed...)
					r.StartWith()
				}
				for range 2 {
					for _, got := range r.Sync() {
						if got.New != 0 || got.Error != "" {
							t.Errorf("%+v", got)
						}
					}
				}
				if n := len(agenttest.Read(t, r.Addr, "ann", "INBOX")); n != c.mail || n != before {
					t.Errorf("%d messages, before %d", n, before)
				}
			})
		}
	}
}

// Whoever still has an account that the config has given another name fetches nothing
// for it any more.
func TestAnAccountThatWasReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, port := agenttest.POP(t, "alpha", 3)
	login := []string{`username = "beta"`, `username = "alpha"`}
	a := agenttest.Account{Name: "alpha", User: "ann", Folder: "INBOX", Port: port, Replace: login}
	r.Configure(agenttest.Plain, a)
	r.Start()
	r.Sync()
	chosen, err := r.own().accounts.Choose([]string{"alpha"})
	if err != nil {
		t.Fatal(err)
	}
	a.Name = "beta"
	r.Reload(a)
	r.Sync()
	runner, err := chosen[0].Runner(t.Context())
	if err == nil {
		_, err = runner.Poll(t.Context(), nil)
	}
	if err == nil {
		t.Error("the former account was polled")
	}
	if n := len(agenttest.Read(t, r.Addr, "ann", "INBOX")); n != 3 {
		t.Errorf("%d messages", n)
	}
}
