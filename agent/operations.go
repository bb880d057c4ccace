package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

var _ control.Operations = (*Agent)(nil)

// Status implements control.Operations.
func (a *Agent) Status(ctx context.Context) (control.Status, error) {
	a.mu.Lock()
	s := control.Status{PID: os.Getpid(), DataDir: a.first.DataDir, Running: a.serving != nil, Programs: []string{}}
	var accounts []*account
	for _, c := range a.cfg.Accounts {
		accounts = append(accounts, a.accounts[c.Name])
	}
	for _, srv := range a.servers {
		s.Clients += srv.srv.Clients()
		s.Programs = append(s.Programs, srv.srv.Programs()...)
	}
	slices.Sort(s.Programs)
	s.Programs = slices.Compact(s.Programs)
	a.mu.Unlock()
	s.Listen = a.listening()
	s.LastEnd = a.book.LastEnd()
	s.Accounts = []control.Account{}
	for _, ac := range accounts {
		if !s.Running {
			ac.recall(ctx)
		}
		answer, err := a.accountStatus(ctx, ac)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if err != nil {
			answer.LastError = err.Error() // of the user's store; it is a condition as well
		} else if !s.Running && answer.LastError != "" && !ac.isHeld() {
			a.health.Report(ac.source(), append(ac.conditions(ac.status()), health.Remembered(ac.cfg.Name, answer.LastError, a.command("sync "+ac.cfg.Name)))...)
		}
		s.Accounts = append(s.Accounts, answer)
	}
	if !s.Running {
		s.PID = 0
		a.health.Report("agent", health.NotRunning(s.LastEnd.Failure(), a.command("run")))
	}
	a.users.Report(ctx)
	a.users.ReportOpen(ctx)
	s.Health = a.health.List()
	return s, nil
}

// accountStatus joins what the runner does now with what the store remembers
// of earlier runs.
func (a *Agent) accountStatus(ctx context.Context, ac *account) (control.Account, error) {
	now := ac.status()
	answer := control.Account{
		Name: ac.cfg.Name, User: ac.cfg.User, Folder: ac.cfg.Folder, State: string(now.State),
		NextPoll: timeOrNil(now.NextPoll), LastError: now.LastError, Deletions: []control.Deletion{},
	}
	answer.Awaiting, answer.Expire, answer.MinInterval = now.Awaiting, now.Expire, now.MinInterval.Seconds()
	for _, p := range now.Problems {
		if p.Num == 0 {
			answer.Notes = append(answer.Notes, p.Reason)
		} else {
			answer.Problems = append(answer.Problems, p.Reason)
		}
	}
	if former := ac.formerFolder(); former != "" {
		answer.Notes = append(answer.Notes, "new mail goes to "+ac.cfg.Folder+"; what came before went to "+former+", and stays where it is")
	}
	store, err := a.users.Store(ctx, ac.cfg.User)
	if err != nil {
		return answer, err
	}
	if store.Unreadable() {
		a.health.Report("user "+ac.cfg.User, health.Store(ac.cfg.User, store.Healthy(ctx))...)
	}
	kept, err := store.AccountState(ctx, ac.cfg.Name)
	if err != nil {
		return answer, err
	}
	answer.LastSuccess, answer.Stored, answer.OnServer = timeOrNil(kept.LastSuccess), kept.Stored, kept.OnServer
	if answer.Deletions, err = ac.deletions(ctx, now.Deletes); err != nil {
		return answer, err
	}
	answer.DeletionsTotal = now.DeletesTotal
	if now.LastError == "" && kept.LastError != "" {
		answer.LastError = kept.LastError
	}
	return answer, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Round(0).Truncate(time.Millisecond)
	return &t
}

// Sync implements control.Operations.
func (a *Agent) Sync(ctx context.Context, names []string, progress func(control.Progress)) ([]control.SyncResult, error) {
	accounts, err := a.choose(names)
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(control.Progress) {}
	}
	var mu sync.Mutex // one progress at a time
	report := func(p bridge.Progress) {
		mu.Lock()
		defer mu.Unlock()
		progress(control.Progress{Account: p.Account, Phase: p.Phase, Messages: p.Messages, Total: p.TotalMessages,
			Bytes: p.Bytes, AllBytes: p.TotalBytes, Done: p.Done})
	}
	results := make([]control.SyncResult, len(accounts))
	var wg sync.WaitGroup
	for i, ac := range accounts {
		wg.Go(func() { results[i] = a.syncOne(ctx, ac, report) })
	}
	wg.Wait()
	return results, ctx.Err()
}

func (a *Agent) syncOne(ctx context.Context, ac *account, report func(bridge.Progress)) control.SyncResult {
	answer := control.SyncResult{Account: ac.cfg.Name}
	err := supervise.Protect(func() error {
		r, err := ac.get(ctx)
		if err != nil {
			return err
		}
		if _, ok := errors.AsType[*mailstore.Failure](r.Status().Err); ok { // who asks may have repaired it
			store, err := a.users.Store(ctx, ac.cfg.User)
			if err == nil {
				err = store.Healthy(ctx)
			}
			if err != nil {
				return err
			}
		}
		result, err := r.Poll(ctx, report)
		answer.New, answer.Deleted, answer.Problems = result.Stored, result.Deleted, result.Failed
		s := r.Status()
		answer.Refused, answer.RefusedSaid, answer.Incomplete = s.Undeleted, s.UndeletedSaid, s.Doubtful
		for _, p := range s.Problems {
			if p.Num != 0 {
				size := "size unknown"
				if p.Size > 0 {
					size = fmt.Sprintf("listed with %d bytes", p.Size)
				}
				answer.Left = append(answer.Left, fmt.Sprintf("message %d (%s): %s", p.Num, size, p.Reason))
			}
		}
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			return fault.Wrap(err, fault.Temporary, "account "+ac.cfg.Name+" was stopped or changed while it was polled", "poll it again")
		}
		return err
	})
	if err = a.users.Explain(ac.cfg.User, err); err != nil {
		answer.Error, answer.Hint = err.Error(), fault.Hint(err)
	}
	if now, err := a.accountStatus(ctx, ac); err == nil {
		answer.Stored, answer.Awaiting = now.Stored, now.Awaiting
	}
	return answer
}

// choose returns the accounts of these names, or all of them in file order.
func (a *Agent) choose(names []string) ([]*account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var known []string
	var chosen []*account
	for _, c := range a.cfg.Accounts {
		known = append(known, c.Name)
		if len(names) == 0 {
			chosen = append(chosen, a.accounts[c.Name])
		}
	}
	if len(known) == 0 {
		return nil, fault.New(fault.Config, "there is no account in the config", "add one: `popbridge check-config --help` shows what it looks like")
	}
	for _, name := range names {
		c, ok := a.cfg.Account(name)
		if !ok {
			return nil, fault.New(fault.Config, fmt.Sprintf("there is no account %s in the config", fault.Quote(name)),
				config.DidYouMean(name, known)+"the accounts are: "+strings.Join(known, ", "))
		}
		if ac := a.accounts[c.Name]; !slices.Contains(chosen, ac) {
			chosen = append(chosen, ac)
		}
	}
	return chosen, nil
}
