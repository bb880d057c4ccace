package agent

import (
	"fmt"
	"testing"
)

// Whatever accounts are called from now on, the mail of each mailbox is known: none
// comes twice, under a running agent and without one.
func TestAccountsThatChangeNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(a, b *testAccount) []testAccount
		mail   int // in all that the config names then
	}{
		{"swapped", func(a, b *testAccount) []testAccount { a.name, b.name = b.name, a.name; return []testAccount{*a, *b} }, 7},
		{"servers swapped", func(a, b *testAccount) []testAccount { a.port, b.port = b.port, a.port; return []testAccount{*a, *b} }, 7},
		{"moved along", func(a, b *testAccount) []testAccount { a.name, b.name = "beta", "gamma"; return []testAccount{*a, *b} }, 7},
		{"used again", func(a, _ *testAccount) []testAccount { a.name = "beta"; return []testAccount{*a} }, 7},
		{"of the other mailbox", func(a, b *testAccount) []testAccount { a.port = b.port; return []testAccount{*a} }, 7},
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %v", c.what, running), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				_, portA := pop(t, "joe", 3)
				_, portB := pop(t, "joe", 4)
				login := []string{"username = \"alpha\"", "username = \"joe\"", "username = \"beta\"", "username = \"joe\"", "username = \"gamma\"", "username = \"joe\""}
				a := testAccount{name: "alpha", user: "ann", folder: "INBOX", port: portA, replace: login}
				b := testAccount{name: "beta", user: "ann", folder: "INBOX", port: portB, replace: login}
				r.configure(plain, a, b)
				r.start()
				r.sync()
				before := len(read(t, r.addr, "ann", "INBOX"))
				changed := c.change(&a, &b)
				if running {
					r.reload(changed...)
				} else {
					if err := r.stop(); err != nil {
						t.Fatal(err)
					}
					r.configure(plain, changed...)
					r.startWith()
				}
				for range 2 {
					for _, got := range r.sync() {
						if got.New != 0 || got.Error != "" {
							t.Errorf("%+v", got)
						}
					}
				}
				if n := len(read(t, r.addr, "ann", "INBOX")); n != c.mail || n != before {
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
	_, port := pop(t, "alpha", 3)
	login := []string{`username = "beta"`, `username = "alpha"`}
	a := testAccount{name: "alpha", user: "ann", folder: "INBOX", port: port, replace: login}
	r.configure(plain, a)
	r.start()
	r.sync()
	chosen, err := r.agent.accounts.Choose([]string{"alpha"})
	if err != nil {
		t.Fatal(err)
	}
	a.name = "beta"
	r.reload(a)
	r.sync()
	runner, err := chosen[0].Runner(t.Context())
	if err == nil {
		_, err = runner.Poll(t.Context(), nil)
	}
	if err == nil {
		t.Error("the former account was polled")
	}
	if n := len(read(t, r.addr, "ann", "INBOX")); n != 3 {
		t.Errorf("%d messages", n)
	}
}
