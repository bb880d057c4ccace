package agent

import (
	"context"
	"errors"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Check implements control.Operations. A store that cannot be opened because
// it is damaged is a problem of that user.
func (a *Agent) Check(ctx context.Context, progress func(control.Progress)) ([]control.Problem, error) {
	a.rounds.RLock()
	defer a.rounds.RUnlock()
	names, err := a.userNames()
	if err != nil {
		return nil, err
	}
	found := append([]control.Problem{}, a.oddFolders()...)
	for _, name := range names {
		store, err := a.store(ctx, name)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // the others are checked
			found = append(found, storeProblem(name, err))
			continue
		}
		problems, err := store.Check(ctx, userProgress(name, "checking", progress))
		if err != nil {
			return nil, err
		}
		found = append(found, problemsOf(name, problems)...)
	}
	return found, nil
}

func problemsOf(user string, problems []mailstore.Problem) []control.Problem {
	list := []control.Problem{}
	for _, p := range problems {
		list = append(list, control.Problem{User: user, Code: p.Code, Text: p.Text})
	}
	return list
}

// userProgress reports what is counted for one user.
func userProgress(user, phase string, progress func(control.Progress)) func(done, total int) {
	return func(done, total int) {
		if progress != nil {
			progress(control.Progress{User: user, Phase: phase, Messages: done, Total: total})
		}
	}
}

// storeProblem is the problem that a store cannot be opened.
func storeProblem(user string, err error) control.Problem {
	code := "unreadable-store"
	if fault.Is(err, fault.Corrupt) {
		code = "damaged-index"
	}
	return control.Problem{User: user, Code: code, Text: err.Error()}
}

// Repair implements control.Operations. An index that is damaged beyond use is
// rebuilt, which takes a store that no one has open: one that could not be
// opened, or any where no agent is serving.
func (a *Agent) Repair(ctx context.Context, progress func(control.Progress)) ([]control.Repaired, error) {
	a.rounds.RLock()
	defer a.rounds.RUnlock()
	names, err := a.userNames()
	if err != nil {
		return nil, err
	}
	done := []control.Repaired{}
	for _, name := range names {
		report, err := a.repairUser(ctx, name, userProgress(name, "repairing", progress))
		if err != nil {
			return nil, err
		}
		done = append(done, control.Repaired{User: name, Rebuilt: report.Rebuilt, Repaired: problemsOf(name, report.Repaired),
			Left: problemsOf(name, report.Left), Wanted: report.Wanted, Recovered: report.Recovered, Aside: report.Aside})
	}
	return done, nil
}

func (a *Agent) repairUser(ctx context.Context, name string, progress func(done, total int)) (mailstore.RepairReport, error) {
	store, err := a.store(ctx, name)
	if err == nil {
		var report mailstore.RepairReport
		report, err = store.Repair(ctx, progress)
		if !fault.Is(err, fault.Corrupt) {
			return report, err
		}
	}
	if !fault.Is(err, fault.Corrupt) {
		return mailstore.RepairReport{}, err
	}
	return a.rebuild(ctx, name)
}

// rebuild rebuilds the index of a user. The next who needs the store opens
// it again.
func (a *Agent) rebuild(ctx context.Context, name string) (mailstore.RepairReport, error) {
	u := a.userEntry(name)
	a.mu.Lock()
	running := a.serving != nil
	a.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store != nil && running {
		return mailstore.RepairReport{}, fault.New(fault.Conflict, "the index of user "+name+" has to be rebuilt, and the running agent has it open",
			"stop the agent (`popbridge stop`, or Ctrl-C where it runs), run `"+a.command("check --repair")+"` again, and start the agent")
	}
	if u.store != nil {
		err := u.store.Close()
		u.store = nil
		if err != nil {
			a.log.Warn().Err(err).Str("user", name).Msg("damaged store did not close cleanly")
		}
	}
	o := a.storeOptions(name)
	o.ID = a.known().Users[name].Store
	report, err := mailstore.Rebuild(ctx, u.dir, o)
	if err == nil {
		a.health.Report("user " + name)
		a.resume("the index was rebuilt", func(ac *account) bool { return ac.cfg.User == name })
	} else if !errors.Is(err, context.Canceled) {
		a.health.Report("user "+name, health.Store(name, err)...)
	}
	return report, err
}
