package outbox

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/sasl"
)

// That POP works makes no login for sending that is refused: neither with a password nor with
// a token that is renewed each hour. A new sign-in is tried at once.
func TestPollsMakeNoLogins(t *testing.T) {
	for name, renewed := range map[string]bool{"password": false, "token": true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.password = "other"
			if renewed {
				g.tokens(0) // an account that is signed in tells
			}
			g.submit("b@example.com")
			stop := g.serve()
			for i := range 3 * 24 * 12 {
				if renewed && i%12 == 0 {
					g.secret.Store(time.Now().String())
				}
				g.runner.Wake()
				pass(5 * time.Minute)
			}
			if n := g.server.tried(); n < 8 || n > 12 {
				t.Errorf("%s: %d logins in three days", name, n)
			}
			if _, notices := g.told(); notices != 1 {
				t.Errorf("%s: %d notices", name, notices)
			}
			g.secret.Store("other")
			g.runner.SignedIn()
			synctest.Wait()
			g.wantTaken(map[string]int{"b@example.com": 1})
			stop()
		})
	}
}

// Another network makes one every 15 minutes at most.
func TestResumeAfterRefusedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.server.password = "other"
		g.submit("b@example.com")
		stop := g.serve()
		pass(10 * time.Minute)
		for range 60 {
			g.runner.Resume()
			pass(time.Minute)
		}
		if n := g.server.tried(); n < 6 || n > 8 {
			t.Errorf("%d logins", n)
		}
		stop()
	})
}

// A command, or a file, brings another token each hour, or each time: those that are refused
// are tried more and more rarely. One that is taken is not waited for as long.
func TestOtherTokensOfACommand(t *testing.T) {
	for _, every := range []time.Duration{time.Hour, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.password = "other"
			g.tokens(time.Minute)
			g.submit("b@example.com")
			stop := g.serve()
			for i := time.Duration(0); i < 3*24*time.Hour; i += every {
				g.secret.Store(time.Now().String())
				pass(every)
			}
			if n := g.server.tried(); n < 12 || n > 24 {
				t.Errorf("another one each %v: %d logins in three days", every, n)
			}
			g.secret.Store("other")
			pass(6*time.Hour + 30*time.Minute)
			g.wantTaken(map[string]int{"b@example.com": 1})
			stop()
		})
	}
}

// tokens has the rig bring tokens, of which it is looked so often whether there is another.
func (g *rig) tokens(every time.Duration) {
	g.restart(Account{SecretEvery: every})
	plain := g.runner.account.Credentials
	g.runner.account.Credentials = func(ctx context.Context) (sasl.Credentials, error) {
		c, err := plain(ctx)
		c.Token = true
		return c, err
	}
}

// That the account does not send is told of the first message that a person has sent, also
// where one without a sender waits before it, and of one that comes later.
func TestTheNoticePassesBySendersThatAreNone(t *testing.T) {
	for name, later := range map[string]time.Duration{"at once": 0, "a day later": 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.server.password = "other"
			g.store.submit("home", "", sample(1), "receipt@example.com")
			calls := 0
			g.queue.before = func(string) {
				if calls++; calls > 1000 {
					panic("it does not rest") // and no time would pass
				}
			}
			stop := g.serve()
			pass(later)
			g.submit("b@example.com")
			pass(2 * time.Hour)
			if _, notices := g.told(); notices != 1 || !bytes.Contains(g.notices[0], []byte("b@example.com")) {
				t.Errorf("%s: notices %q", name, g.notices)
			}
			pass(5 * 24 * time.Hour)
			if _, notices := g.told(); notices != 1 {
				t.Errorf("%s: %d notices", name, notices)
			}
			stop()
		})
	}
}
