package users

import (
	"context"
	"errors"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Rebuild rebuilds the index of a user, which takes a store that no one has open:
// fault.Conflict where it is while the agent serves. The next who needs the store
// opens it again.
func (a *Stores) Rebuild(ctx context.Context, name string, serving bool) (mailstore.RepairReport, error) {
	u := a.userEntry(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store != nil && serving {
		return mailstore.RepairReport{}, fault.New(fault.Conflict, "the index of user "+name+" has to be rebuilt, and the running agent has it open",
			"stop the agent (`popbridge stop`, or Ctrl-C where it runs), run `"+a.Command("check --repair")+"` again, and start the agent")
	}
	if u.store != nil {
		err := u.store.Close()
		u.store = nil
		if err != nil {
			a.log.Warn().Err(err).Str("user", name).Msg("damaged store did not close cleanly")
		}
	}
	o := a.storeOptions(name)
	o.ID = a.Known().Users[name].Store
	report, err := mailstore.Rebuild(ctx, u.dir, o)
	if err == nil {
		a.Health.Report("user " + name)
	} else if !errors.Is(err, context.Canceled) {
		a.Health.Report("user "+name, health.Store(name, err)...)
	}
	return report, err
}
