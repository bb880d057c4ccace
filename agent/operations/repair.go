package operations

import (
	"context"
	"fmt"

	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Check reports a store that cannot be opened as a problem of that user.
func (l *Local) Check(ctx context.Context, progress func(Progress)) ([]Problem, error) {
	l.rounds.RLock()
	defer l.rounds.RUnlock()
	names, err := l.users.Names()
	if err != nil {
		return nil, err
	}
	found := []Problem{}
	for _, name := range l.users.Odd() {
		found = append(found, Problem{User: name, Code: "no-store",
			Text: fmt.Sprintf("%s is not a mail store with the name of a user: it is neither served nor backed up", l.users.Dir(name))})
	}
	for _, name := range names {
		store, err := l.users.Store(ctx, name)
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

func problemsOf(user string, problems []mailstore.Problem) []Problem {
	list := []Problem{}
	for _, p := range problems {
		list = append(list, Problem{User: user, Code: p.Code, Text: p.Text})
	}
	return list
}

// userProgress reports what is counted for one user.
func userProgress(user, phase string, progress func(Progress)) func(done, total int) {
	return func(done, total int) {
		if progress != nil {
			progress(Progress{User: user, Progress: bridge.Progress{Phase: phase, Messages: done, TotalMessages: total}})
		}
	}
}

// storeProblem is the problem that a store cannot be opened.
func storeProblem(user string, err error) Problem {
	if fault.Is(err, fault.Corrupt) {
		return Problem{User: user, Code: "damaged-index", Text: err.Error()}
	}
	text := err.Error()
	if hint := fault.Hint(err); hint != "" { // no repair helps
		text += ": " + hint
	}
	return Problem{User: user, Code: "unreadable-store", Text: text}
}

// Repair rebuilds an index that is damaged beyond use, which takes a store that no
// one has open: one that could not be opened, or any where no agent is serving.
func (l *Local) Repair(ctx context.Context, progress func(Progress)) ([]Repaired, error) {
	l.rounds.RLock()
	defer l.rounds.RUnlock()
	names, err := l.users.Names()
	if err != nil {
		return nil, err
	}
	done := []Repaired{}
	for _, name := range names {
		report, err := l.repairUser(ctx, name, userProgress(name, "repairing", progress))
		if err != nil {
			return nil, err
		}
		done = append(done, Repaired{name, report, problemsOf(name, report.Repaired), problemsOf(name, report.Left)})
	}
	return done, nil
}

func (l *Local) repairUser(ctx context.Context, name string, progress func(done, total int)) (mailstore.RepairReport, error) {
	store, err := l.users.Store(ctx, name)
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
	report, err := l.users.Rebuild(ctx, name, l.running())
	if err == nil {
		l.accounts.Resume("the index was rebuilt", func(c config.Account) bool { return c.User == name })
	}
	return report, err
}
