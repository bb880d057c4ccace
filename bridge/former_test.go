package bridge

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/testkit"
)

// renamed makes the runner of an account that the config has instead of those
// that are not configured.
func (g *rig) renamed(name, username, host string, configured ...string) {
	g.runner = newTestRunner(g.pop, g.store, g.clock, name, "INBOX", plan.KeepForever())
	g.runner.account.Server.Host = host
	g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) {
		return pop3.Credentials{Username: username, Secret: "secret"}, nil
	}
	g.runner.account.Configured = func(n string) bool {
		for _, c := range configured {
			if n == c {
				return true
			}
		}
		return n == name
	}
}

// The name, the user name and perhaps the host change at once, and perhaps the
// server gives new ids then: nothing comes twice.
func TestAnAccountThatIsNewInAllButItsMail(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"nothing else", "host", "ids", "one message", "numbers", "much new mail", "line feeds count once"} {
		t.Run(change, func(t *testing.T) {
			g := newRig(t, plan.KeepForever())
			n, host := 14, "pop.test"
			if change == "one message" {
				n = 1
			}
			g.fill(0, n)
			if change == "numbers" {
				for i, m := range g.pop.messages {
					m.uidl = strconv.Itoa(i + 1)
				}
			}
			g.poll()
			g.pop.add("new", testkit.Message(n))
			if change == "much new mail" {
				for range 20 {
					n++
					g.pop.add("new"+strconv.Itoa(n), testkit.Message(n))
				}
			}
			switch change {
			case "host":
				host = "mail.test"
			case "line feeds count once":
				host = "mail.test"
				for _, m := range g.pop.messages {
					m.size = int64(len(m.data) - strings.Count(string(m.data), "\n"))
				}
			case "ids":
				for i, m := range g.pop.messages {
					m.uidl = "again" + strconv.Itoa(i)
				}
			}
			g.renamed("private", "home@pop.test", host)
			for range 3 {
				g.poll()
			}
			g.wantMail(0, n+1)
			if s := g.runner.Status(); s.Stored != int64(n+1) {
				t.Errorf("%d stored", s.Stored)
			}
			if old, err := g.store.Ledger(t.Context(), "home"); err != nil || len(old) != 0 {
				t.Errorf("%+v, %v", old, err)
			}
		})
	}
}

// Another mailbox with the same ids and sizes, or the mailbox of an account that
// is still in the config, is not taken for the one of the new account.
func TestAnAccountThatIsNew(t *testing.T) {
	t.Parallel()
	for _, still := range []string{"", "home"} {
		g := newRig(t, plan.KeepForever())
		g.numbered("%d", 0, 1, 2, 3)
		g.poll()
		old, err := g.store.Ledger(t.Context(), "home")
		if err != nil {
			t.Fatal(err)
		}
		g.numbered("%d", 4, 5, 6, 7)
		want := []int{0, 1, 2, 3, 4, 5, 6, 7}
		if still != "" {
			g.numbered("%d", 0, 1, 2, 3)
			want = []int{0, 0, 1, 1, 2, 2, 3, 3}
		}
		g.pop.change(func() { g.pop.trouble = trouble{expire: true, cutRetr: 7} })
		g.renamed("other", "other", "pop.test", still)
		_, _ = g.runner.Poll(t.Context(), nil)
		g.pop.change(func() { g.pop.trouble = trouble{} })
		g.poll()
		g.wantAlike(want...)
		if now, err := g.store.Ledger(t.Context(), "home"); err != nil || len(now) != len(old) {
			t.Errorf("%+v, %v", now, err)
		}
	}
}

// An account that gets another name, and a case of its host and a port as well,
// goes on where it was; one of another mailbox begins again.
func TestAnAccountByAnotherName(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	g.fill(0, 6)
	g.poll()
	g.expunge(5)
	open := func(name, username string) {
		g.runner = newTestRunner(g.pop, g.store, g.clock, name, "INBOX", plan.KeepNever())
		g.runner.account.ConfirmDeletes = true
		g.runner.account.Server.Host, g.runner.account.Server.Port = "POP.test", 995
		g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: username, Secret: "secret"}, nil
		}
	}
	open("private", "home")
	if p, err := g.runner.Preview(t.Context()); err != nil || p.Fetch != 0 || len(p.Delete) != 6 || !p.NeedsConfirm {
		t.Errorf("%+v, %v", p, err)
	}
	g.want(g.poll(), 0, 0, 0, 6)
	if s := g.runner.Status(); s.Stored != 6 || s.Awaiting != 6 {
		t.Errorf("%+v", s)
	}
	open("private", "home") // as after a restart
	g.want(g.poll(), 0, 0, 0, 6)
	if old, err := g.store.Ledger(t.Context(), "home"); err != nil || len(old) != 0 {
		t.Errorf("%+v, %v", old, err)
	}
	open("another", "somebody else")
	g.runner.account.Shadow = true
	g.want(g.poll(), 6, 0, 0, 6)
}

// Another mailbox behind the same account, in which ids and sizes happen to be
// those of the former one: nothing is deleted there that did not come from there.
func TestAnAccountAtAnotherServer(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	var want []string
	fill := func(from int) {
		for n := range 4 {
			g.pop.add(uidl(n), sized(from+n, 500))
			want = append(want, string(sized(from+n, 500)))
		}
	}
	fill(10)
	g.poll()
	g.pop = newPopServer(t)
	fill(20)
	g.restart(plan.KeepNever())
	g.runner.account.Server.Host = "pop.other.test"
	g.want(g.poll(), 4, 0, 4, 0)
	g.wantExactly(want)
	g.want(g.poll(), 0, 0, 0, 0)
}

// Ids that both servers count up: at the new one no message is taken for one of
// the old one, neither at first nor later, and what came along from there is known.
func TestAnAccountAtAServerThatCountsLikeTheFormer(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	var want []string
	add := func(id, n int) {
		g.pop.add(uidl(id), sized(n, 500))
		want = append(want, string(sized(n, 500)))
	}
	for n := range 4 {
		add(n, 10+n)
	}
	g.poll()
	g.pop = newPopServer(t)
	add(0, 20)
	add(1, 21)
	for n := range 3 {
		add(10+n, 30+n)
	}
	g.pop.add(uidl(20), sized(13, 500)) // it moved along
	g.restart(plan.KeepForever())
	g.runner.account.Server.Host = "pop.other.test"
	g.want(g.poll(), 5, 1, 0, 6)
	add(2, 22)
	g.want(g.poll(), 1, 0, 0, 7)
	g.restart(plan.KeepForever())
	g.runner.account.Server.Host = "pop3.other.test" // the same by another name
	g.want(g.poll(), 0, 0, 0, 7)
	if n := g.pop.fetched(uidl(10)); n != 1 {
		t.Errorf("a message was fetched %d times", n)
	}
	g.wantExactly(want)
}

// A server that gives one message in a session shows by that one which account it was.
func TestAnAccountThatIsNewAtAServerWithALimit(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-ERR one only", "-ERR Download exceed. msg=1"} {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 14)
		g.poll()
		g.pop.change(func() { g.pop.trouble = trouble{limit: 1, limitText: text} })
		g.renamed("private", "home@pop.test", "mail.test")
		for range 4 {
			_, _ = g.runner.Poll(t.Context(), nil) // it may end in the middle
			g.clock.advance(time.Hour)
		}
		g.pop.add("new", testkit.Message(14))
		for range 4 {
			_, _ = g.runner.Poll(t.Context(), nil)
			g.clock.advance(time.Hour)
		}
		g.wantMail(0, 15)
	}
}
