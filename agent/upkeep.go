package agent

import (
	"context"
	"slices"
	"sync"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// upkeep looks after the stores while the agent runs: whether they can be
// written, and that what was deleted goes when its time is over.
type upkeep struct {
	agent   *Agent
	healthy func(*mailstore.Store, context.Context) error // Store.Healthy; tests answer themselves

	mu  sync.Mutex
	bad map[string]bool // users whose store failed at the last look
}

func (a *Agent) keepUp(ctx context.Context) {
	u := &upkeep{agent: a, healthy: (*mailstore.Store).Healthy, bad: map[string]bool{}}
	a.users.Report(ctx)
	a.sending.Look(ctx)
	a.noteHistory(ctx)
	for n := 1; u.rest(ctx); n++ {
		u.probe(ctx)
		a.guard.expire()
		a.lan.expire()
		if n%purgeEvery == 0 {
			u.purge(ctx)
			a.noteHistory(ctx)
			a.zone.Store(location(a.Config())) // the machine may have travelled
		}
	}
}

// noteHistory writes down how much mail there is, for the plots of the web page.
func (a *Agent) noteHistory(ctx context.Context) {
	if err := a.ops.NoteHistory(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn().Err(err).Msg("how much mail there is cannot be noted for the history")
	}
}

// rest waits until the next look. What fails is looked at soon, so that
// work goes on when a drive is back.
func (u *upkeep) rest(ctx context.Context) bool {
	every := probeEvery
	u.mu.Lock()
	for _, bad := range u.bad {
		if bad {
			every = recoverEvery
		}
	}
	u.mu.Unlock()
	return supervise.Sleep(ctx, every)
}

// probe looks at the stores side by side: one on a drive that hangs shall not
// hide the failure of another.
func (u *upkeep) probe(ctx context.Context) {
	var wg sync.WaitGroup
	names, _ := u.agent.users.Names() // those of the config at least, whose stores cannot be read then
	for _, name := range names {
		wg.Go(func() { u.probeUser(ctx, name) })
	}
	wg.Wait()
	u.agent.users.Report(ctx)
	u.agent.sending.Look(ctx)
}

func (u *upkeep) probeUser(ctx context.Context, name string) {
	var store *mailstore.Store
	err := supervise.Protect(func() (err error) {
		if store, err = u.agent.users.Store(ctx, name); err != nil {
			return err
		}
		return u.agent.users.Explain(name, u.healthy(store, ctx))
	})
	if ctx.Err() != nil {
		return
	}
	if names, listErr := u.agent.users.Names(); err != nil && listErr == nil && !slices.Contains(names, name) {
		return // renamed meanwhile
	}
	u.agent.health.Report("user "+name, health.Store(name, err)...)
	u.agent.users.ReportStore(ctx, name, store)
	u.mu.Lock()
	well := u.bad[name] && err == nil
	u.bad[name] = err != nil
	u.mu.Unlock()
	if well { // its accounts need not wait for the end of their back-off
		u.agent.accounts.Resume("the mail store is well again", func(c config.Account) bool { return c.User == name })
	}
}

func (u *upkeep) purge(ctx context.Context) {
	names, _ := u.agent.users.Names()
	for _, name := range names {
		err := supervise.Protect(func() error {
			store, err := u.agent.users.Store(ctx, name)
			if err != nil {
				return err
			}
			return store.Purge(ctx)
		})
		if err != nil && ctx.Err() == nil {
			u.agent.log.Warn().Err(err).Str("user", name).Msg("deleted mail whose time is over could not be removed; tried again in an hour")
		}
	}
}
