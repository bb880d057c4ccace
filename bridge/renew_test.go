package bridge

import (
	"context"
	"errors"
	"testing"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// A refused token is renewed once in a login: one that is refused as well is a refusal, and
// that there is none is told in place of it, and counts as none.
func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	gone := fault.New(fault.Auth, "sign in", "")
	for name, tt := range map[string]struct {
		renewed  string
		err      error
		want     error
		refusals int
		logins   int
	}{
		"another":       {renewed: "secret", logins: 2},
		"refused again": {renewed: "worse", refusals: 1, logins: 2},
		"none":          {err: gone, want: gone, logins: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, plan.KeepForever())
			g.fill(0, 1)
			g.runner.account.Credentials = func(context.Context) (pop3.Credentials, error) {
				return pop3.Credentials{Username: "home", Secret: "old"}, nil
			}
			asked := 0
			g.runner.account.Renew = func(_ context.Context, refused pop3.Credentials) (pop3.Credentials, error) {
				asked++
				if refused.Secret != "old" {
					t.Errorf("%q was refused", refused.Secret)
				}
				return pop3.Credentials{Username: "home", Secret: tt.renewed}, tt.err
			}
			_, err := g.runner.Poll(t.Context(), nil)
			if ok := tt.renewed == "secret"; (err == nil) != ok || tt.want != nil && !errors.Is(err, tt.want) || !ok && !fault.Is(err, fault.Auth) {
				t.Errorf("%v", err)
			}
			if n := len(g.pop.logins()); asked != 1 || n != tt.logins || g.runner.memory.pollState.Refusals != tt.refusals {
				t.Errorf("asked %d times, %d logins, %d refusals", asked, n, g.runner.memory.pollState.Refusals)
			}
		})
	}
}
