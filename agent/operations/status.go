package operations

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func (l *Local) Status(ctx context.Context) (Status, error) {
	s := Status{PID: os.Getpid(), DataDir: l.users.DataDir, Running: l.running(), Listen: l.clients.Listening(), SMTP: l.clients.Submission(), Accounts: []Account{}}
	s.LAN, s.Web = l.network.State(), l.pages.Address()
	s.Clients, s.Programs = l.clients.Count()
	s.LastEnd = l.users.Book.LastEnd()
	for _, ac := range l.accounts.All() {
		if !s.Running {
			ac.Recall(ctx)
		}
		answer, err := l.accountStatus(ctx, ac)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if err != nil {
			answer.LastError, answer.Kind = err.Error(), kindOf(err) // of the user's store; it is a condition as well
		} else if !s.Running {
			ac.ReportRemembered(answer.LastError)
		}
		s.Accounts = append(s.Accounts, answer)
	}
	if !s.Running {
		s.PID = 0
		l.users.Health.Report("agent", health.NotRunning(s.LastEnd.Failure(), l.unsent(ctx), l.users.Command("run")))
	}
	l.users.Report(ctx)
	l.users.ReportOpen(ctx)
	l.sending.Look(ctx)
	s.Health = l.users.Health.List()
	return s, nil
}

// accountStatus joins what the runner does now with what the store remembers
// of earlier runs.
func (l *Local) accountStatus(ctx context.Context, ac *accounts.Account) (Account, error) {
	now := ac.Status()
	answer := Account{
		Name: ac.Config.Name, User: ac.Config.User, Folder: ac.Config.Folder, State: string(now.State),
		NextPoll: timeOrNil(now.NextPoll), LastError: now.LastError, Deletions: []Deletion{},
	}
	answer.Progress = now.Progress
	if now.LastError != "" {
		answer.Kind = now.Kind.String()
	}
	answer.Awaiting, answer.Expire, answer.MinInterval = now.Awaiting, now.Expire, now.MinInterval.Seconds()
	for _, p := range now.Problems {
		if p.Num == 0 {
			answer.Notes = append(answer.Notes, p.Reason)
		} else {
			answer.Problems = append(answer.Problems, p.Reason)
		}
	}
	if former := ac.FormerFolder(); former != "" {
		answer.Notes = append(answer.Notes, "new mail goes to "+ac.Config.Folder+"; what came before went to "+former+", and stays where it is")
	}
	store, err := l.users.Store(ctx, ac.Config.User)
	if err != nil {
		return answer, err
	}
	if store.Unreadable() {
		l.users.Health.Report("user "+ac.Config.User, health.Store(ac.Config.User, store.Healthy(ctx))...)
	}
	kept, err := store.AccountState(ctx, ac.Config.Name)
	if err != nil {
		return answer, err
	}
	answer.LastSuccess, answer.Stored, answer.OnServer = timeOrNil(kept.LastSuccess), kept.Stored, kept.OnServer
	if now.State == bridge.Polling && now.OnServer > 0 { // the listing of this poll
		answer.OnServer = now.OnServer
	}
	if answer.Deletions, err = l.deletions(ctx, ac, now.Deletes); err != nil {
		return answer, err
	}
	answer.DeletionsTotal = now.DeletesTotal
	if now.LastError == "" && !ac.Config.Paused {
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

func (l *Local) Sync(ctx context.Context, names []string, progress func(Progress)) ([]SyncResult, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	var mu sync.Mutex // one progress at a time
	report := func(p bridge.Progress) {
		mu.Lock()
		defer mu.Unlock()
		progress(Progress{Progress: p})
	}
	return each(ctx, l, names, func(ac *accounts.Account) SyncResult {
		if !ac.Config.Paused {
			return l.syncOne(ctx, ac, report)
		}
		answer := SyncResult{Account: ac.Config.Name, Paused: true}
		if len(names) > 0 {
			answer.Error, answer.Hint = "it is paused", "`"+l.users.Command("account resume "+ac.Config.Name)+"` polls it again"
		}
		return answer
	})
}

func (l *Local) syncOne(ctx context.Context, ac *accounts.Account, report func(bridge.Progress)) SyncResult {
	answer := SyncResult{Account: ac.Config.Name}
	err := withRunner(ctx, ac, func(r *bridge.Runner) error {
		if _, ok := errors.AsType[*mailstore.Failure](r.Status().Err); ok { // who asks may have repaired it
			store, err := l.users.Store(ctx, ac.Config.User)
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
			return fault.Wrap(err, fault.Temporary, "account "+ac.Config.Name+" was stopped or changed while it was polled", "poll it again")
		}
		return err
	})
	err = l.users.Explain(ac.Config.User, err)
	answer.Error, answer.Hint = said(err)
	answer.Kind = kindOf(err)
	if now, err := l.accountStatus(ctx, ac); err == nil {
		answer.Stored, answer.Awaiting = now.Stored, now.Awaiting
	}
	return answer
}
