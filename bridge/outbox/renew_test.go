package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
)

// A refused token is renewed once; that there is none is told in place of the refusal, and
// the server is not asked again with the one that it refused.
func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		var renewErr error
		asked := 0
		g.restart(Account{Renew: func(_ context.Context, refused sasl.Credentials) (sasl.Credentials, error) {
			asked++
			return sasl.Credentials{Username: "home", Secret: refused.Secret + "+", Token: true}, renewErr
		}})
		g.server.password = "secret+"
		g.submit("b@example.com")
		stop := g.serve()
		pass(time.Second)
		g.wantTaken(map[string]int{"b@example.com": 1})
		if asked != 1 || g.server.logins != 2 {
			t.Errorf("asked %d times, %d logins", asked, g.server.logins)
		}
		stop()

		g.restart(Account{Renew: g.runner.account.Renew})
		renewErr = fault.New(fault.Auth, "sign in", "here")
		g.submit("c@example.com")
		stop = g.serve()
		pass(time.Second)
		if s := g.runner.Status(); s.LastError != "sign in" || s.Hint != "here" || time.Until(s.Next) > 5*time.Minute {
			t.Errorf("%+v", s)
		}
		if g.server.logins != 3 {
			t.Errorf("%d logins", g.server.logins)
		}
		renewErr = nil
		g.runner.Wake()
		pass(10 * time.Second)
		g.wantTaken(map[string]int{"b@example.com": 1, "c@example.com": 1})
		stop()
	})
}
