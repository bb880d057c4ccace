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
func (s *Stores) Rebuild(ctx context.Context, name string, serving bool) (mailstore.RepairReport, error) {
	u := s.userEntry(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store != nil && serving {
		return mailstore.RepairReport{}, fault.New(fault.Conflict, "the index of user "+name+" has to be rebuilt, and the running agent has it open",
			"stop the agent (`popbridge stop`, or Ctrl-C where it runs), run `"+s.Command("check --repair")+"` again, and start the agent")
	}
	if u.store != nil {
		err := u.store.Close()
		u.store = nil
		if err != nil {
			s.log.Warn().Err(err).Str("user", name).Msg("damaged store did not close cleanly")
		}
	}
	o := s.storeOptions(name)
	o.ID = s.Known().Users[name].Store
	report, err := mailstore.Rebuild(ctx, u.dir, o)
	if err == nil {
		s.Health.Report("user " + name)
	} else if !errors.Is(err, context.Canceled) {
		s.Health.Report("user "+name, health.Store(name, err)...)
	}
	return report, err
}
