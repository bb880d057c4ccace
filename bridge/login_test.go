package bridge

import (
	"context"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// refusing serves an account whose server refuses every login, until the pauses
// are long.
func refusing(t *testing.T) (g *rig, stop func()) {
	g = newRig(t, plan.KeepForever())
	g.fill(0, 1)
	g.pop.change(func() { g.pop.refuse = "-ERR [AUTH] Authentication failed." })
	stop = serve(t, g.runner)
	time.Sleep(10 * time.Minute)
	if n := len(g.pop.logins()); n != 3 {
		t.Fatalf("%d logins", n)
	}
	g.pop.change(func() { g.pop.refuse = "" })
	return g, stop
}

// An outage of the login service ends by itself, and sooner when someone asks.
func TestAnOutageOfTheLoginServiceEnds(t *testing.T) {
	for name, ask := range map[string]func(*rig){
		"nothing":         func(*rig) { time.Sleep(70 * time.Minute) },
		"SIGHUP":          func(g *rig) { g.runner.Retry() },
		"an opened INBOX": func(g *rig) { g.runner.Wake(); time.Sleep(15 * time.Minute); g.runner.Wake() },
		"another network": func(g *rig) { time.Sleep(15 * time.Minute); g.runner.Resume("test") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, stop := refusing(t)
				ask(g)
				time.Sleep(time.Second)
				if s := g.runner.Status(); s.State != Idle || s.Stored != 1 {
					t.Errorf("%+v", s)
				}
				stop()
			})
		})
	}
}

// A secret that is another one is tried at once, one that is the same is not.
func TestAChangedSecretIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 1)
		var secret atomic.Value
		secret.Store("wrong")
		g.runner.account.SecretEvery = 10 * time.Second
		g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: "home", Secret: secret.Load().(string)}, nil
		}
		stop := serve(t, g.runner)
		time.Sleep(30 * time.Minute)
		if n := len(g.pop.logins()); n != 3 {
			t.Errorf("%d logins", n)
		}
		secret.Store("secret")
		time.Sleep(11 * time.Second)
		if s := g.runner.Status(); s.Stored != 1 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// A server that hangs up at the password refuses it or has an outage: both are
// said, and it is tried more often than one that refuses.
func TestAServerThatHangsUpAtThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 1)
		g.pop.change(func() { g.pop.hangUp = "PASS" })
		stop := serve(t, g.runner)
		time.Sleep(24 * time.Hour)
		s := g.runner.Status()
		if !strings.Contains(s.LastError, "when it got the password") || !strings.Contains(s.Hint, "outage") || !regexp.MustCompile(`next at \w{3} \d\d:\d\d [A-Z+-]`).MatchString(s.Hint) {
			t.Errorf("%+v", s)
		}
		if n := len(g.pop.logins()); n < 8 || n > 14 {
			t.Errorf("%d logins", n)
		}
		g.pop.change(func() { g.pop.hangUp = "" })
		time.Sleep(7 * time.Hour)
		if s := g.runner.Status(); s.Stored != 1 || s.State != Idle {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// A server that hangs up at a command is polled without it, over restarts, and
// is asked again after a week.
func TestAServerThatHangsUpAtACommand(t *testing.T) {
	for _, command := range []string{"AUTH", "CAPA", "UIDL"} {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 2)
		g.pop.caps = append(g.pop.caps, "SASL PLAIN")
		g.pop.hangUp = command
		for range 2 {
			_, _ = g.runner.Poll(t.Context(), nil)
		}
		g.restart(plan.KeepForever())
		before := len(g.pop.logins())
		g.poll()
		g.wantMail(0, 2)
		if n := len(g.pop.logins()) - before; n != 1 {
			t.Errorf("%s: %d connections", command, n)
		}
		if command == "UIDL" {
			continue
		}
		g.pop.change(func() { g.pop.hangUp = "" })
		g.clock.advance(8 * day)
		g.poll()
		if w := g.runner.memory.pollState.Without; len(w) != 0 {
			t.Errorf("without %v", w)
		}
	}
}

func TestRefusedPasswordsAreTriedMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 3)
		g.pop.change(func() { g.pop.password = "changed" })
		stop := serve(t, g.runner)
		time.Sleep(48 * time.Hour)
		if n := len(g.pop.logins()); n != 8 { // after 0, 1, 3 minutes, 1, 3, 7, 15, 31 hours
			t.Errorf("%d logins with a wrong password", n)
		}
		s := g.runner.Status()
		if next := time.Until(s.NextPoll); s.State != Backoff || s.Kind != fault.Auth || next <= 0 || next > 27*time.Hour || !strings.Contains(s.Hint, "next at ") {
			t.Errorf("status %+v", s)
		}
		time.Sleep(60 * 24 * time.Hour)
		if n := len(g.pop.logins()) - 8; n < 50 || n > 70 {
			t.Errorf("%d logins in 60 days", n)
		}
		if _, err := g.runner.Poll(t.Context(), nil); !fault.Is(err, fault.Auth) {
			t.Errorf("error %v", err)
		}
		g.pop.change(func() { g.pop.password = "secret" })
		g.poll()
		if s := g.runner.Status(); s.State != Idle || s.Stored != 3 {
			t.Errorf("status %+v", s)
		}
		before := len(g.pop.logins())
		time.Sleep(time.Hour)
		if n := len(g.pop.logins()) - before; n < 10 {
			t.Errorf("%d polls in the hour after the pause", n)
		}
		stop()
	})
}

// A login that works ends the row of refusals, even when the poll fails then.
func TestRefusalsInARow(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	refuse := func(times int) {
		g.pop.change(func() { g.pop.password = "changed" })
		for range times {
			g.pollError()
		}
		g.pop.change(func() { g.pop.password = "secret" })
	}
	g.fill(0, 1)
	g.poll()
	refuse(2)
	g.pop.change(func() { g.pop.trouble.noUIDL = true })
	g.pollError()
	refuse(2)
	if s := g.runner.Status(); s.State != Backoff {
		t.Errorf("status %+v", s)
	}
	if g.runner.longPause {
		t.Error("a long pause after two refusals")
	}
	refuse(1)
	if s := g.runner.Status(); s.State != Backoff || !g.runner.longPause || time.Until(s.NextPoll) < 50*time.Minute {
		t.Errorf("status %+v", s)
	}
}

// A mailbox in use may look like a refused login and is none.
func TestInUseIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"-ERR [IN-USE] another session", "-ERR duplicate login!", "-ERR Unable to lock maildrop: Mailbox is locked by POP server"} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, plan.KeepForever())
			g.pop.change(func() { g.pop.refuse = text })
			stop := serve(t, g.runner)
			time.Sleep(5 * time.Hour)
			if s := g.runner.Status(); s.State != Backoff || s.Kind != fault.Temporary || strings.Contains(s.LastError, "password") || s.MinInterval != 0 {
				t.Errorf("status %+v", s)
			}
			stop()
		})
	}
}

func TestLoginDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 20)
		g.pop.caps = append(g.pop.caps, "LOGIN-DELAY 900")
		g.pop.trouble = trouble{limit: 4, limitText: "-ERR Download exceed. msg=4"}
		stop := serve(t, g.runner)
		time.Sleep(time.Minute)
		if s := g.runner.Status(); s.State != Polling || s.LoginDelay != 15*time.Minute {
			t.Errorf("status %+v", s)
		}
		time.Sleep(6 * time.Hour)
		stop()
		times := g.pop.logins()
		for i, at := range times[1:] {
			if d := at.Sub(times[i]); d < 15*time.Minute {
				t.Fatalf("logged in again after %v", d)
			}
		}
		if len(times) < 20 {
			t.Errorf("%d logins", len(times))
		}
		g.wantMail(0, 20)
	})
}

func TestCredentialsError(t *testing.T) {
	g := newRig(t, plan.KeepForever())
	cause := fault.New(fault.Config, "the password file is readable by others", "chmod 600 it")
	g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) { return pop3.Credentials{}, cause }
	if err := g.pollError(); err != cause {
		t.Errorf("error %v", err)
	}
	if s := g.runner.Status(); s.Hint != "chmod 600 it" || s.Kind != fault.Config {
		t.Errorf("status %+v", s)
	}
	if n := len(g.pop.logins()); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// A command that brings another token each time is not believed: one that is refused is tried
// more and more rarely. One that is taken is not waited for as long.
func TestOtherTokensOfACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.fill(0, 1)
		g.pop.caps = append(g.pop.caps, "SASL XOAUTH2")
		g.pop.change(func() { g.pop.refuse = "-ERR [AUTH] Authentication failed." })
		g.runner.account.SecretEvery = time.Minute
		g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) {
			return pop3.Credentials{Username: "home", Secret: time.Now().String(), Method: pop3.MethodToken}, nil
		}
		stop := serve(t, g.runner)
		time.Sleep(3 * 24 * time.Hour)
		if n := len(g.pop.logins()); n < 12 || n > 24 {
			t.Errorf("%d logins in three days", n)
		}
		if s := g.runner.Status(); !strings.Contains(s.Hint, "the token was refused") || !strings.Contains(s.Hint, "sooner with another token, at once after a restart and with `popbridge sync") {
			t.Errorf("%+v", s)
		}
		g.pop.change(func() { g.pop.refuse = "" })
		time.Sleep(6*time.Hour + 40*time.Minute)
		if s := g.runner.Status(); s.Stored != 1 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

// Logins that a person has tried and that were refused, as with the token of somebody else,
// do not keep an account waiting that has other credentials again, although its last poll
// went well.
func TestRetryEndsThePauseAfterRefusedLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, plan.KeepForever())
		g.runner.account.PollEvery = 15 * time.Minute
		stop := serve(t, g.runner)
		synctest.Wait()
		for range refusalsPause {
			time.Sleep(time.Minute)
			g.pop.change(func() { g.pop.refuse = "-ERR [AUTH] Authentication failed." })
			if _, err := g.runner.Probe(t.Context()); err == nil {
				t.Fatal("a login was not refused")
			}
			g.pop.change(func() { g.pop.refuse = "" })
			g.runner.Retry()
			synctest.Wait()
		}
		g.fill(0, 1)
		time.Sleep(30 * time.Minute)
		if s := g.runner.Status(); s.Stored != 1 {
			t.Errorf("nothing was fetched for half an hour: %v, next in %v", s.State, time.Until(s.NextPoll))
		}
		stop()
	})
}
