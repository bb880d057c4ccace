package agent

import (
	"context"
	"sync"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Preview implements control.Operations.
func (a *Agent) Preview(ctx context.Context, names []string) ([]control.Preview, error) {
	accounts, err := a.choose(names)
	if err != nil {
		return nil, err
	}
	previews := make([]control.Preview, len(accounts))
	var wg sync.WaitGroup
	for i, ac := range accounts {
		wg.Go(func() { previews[i] = ac.preview(ctx) })
	}
	wg.Wait()
	return previews, ctx.Err()
}

func (ac *account) preview(ctx context.Context) control.Preview {
	answer := control.Preview{Account: ac.cfg.Name, Shadow: ac.cfg.Shadow}
	err := supervise.Protect(func() error {
		r, err := ac.get(ctx)
		if err != nil {
			return err
		}
		p, err := r.Preview(ctx)
		if err != nil {
			return err
		}
		answer.Fetch, answer.Kept, answer.Policy, answer.NeedsConfirm = p.Fetch, p.Kept, p.Policy, p.NeedsConfirm
		answer.Doubtful = r.Status().Doubtful
		answer.Delete, err = ac.deletions(ctx, p.Delete)
		return err
	})
	if err != nil {
		answer.Error, answer.Hint = err.Error(), fault.Hint(err)
	}
	return answer
}

// deletions names the messages that would be deleted.
func (ac *account) deletions(ctx context.Context, list []bridge.PreviewDelete) ([]control.Deletion, error) {
	out := make([]control.Deletion, len(list))
	hashes := make([]mailstore.Hash, len(list))
	for i, d := range list {
		out[i] = control.Deletion{UIDL: d.UIDL, Size: d.Size, StoredAt: timeOrNil(d.StoredAt), Reason: d.Reason}
		hashes[i] = d.Hash
	}
	if len(list) == 0 {
		return out, nil
	}
	store, err := ac.agent.users.Store(ctx, ac.cfg.User)
	if err != nil {
		return nil, err
	}
	contents, err := store.ContentsOf(ctx, hashes, mailstore.WantEnvelope)
	if err != nil {
		return nil, err
	}
	for i := range contents {
		e := store.Envelope(&contents[i])
		out[i].Subject, out[i].Date, out[i].From = e.Subject(), timeOrNil(e.Date()), e.From()
	}
	return out, nil
}

// Confirm implements control.Operations.
func (a *Agent) Confirm(ctx context.Context, name string) (done control.Confirmed, err error) {
	accounts, err := a.choose([]string{name})
	if err != nil {
		return done, err
	}
	ac := accounts[0]
	if _, err := ac.get(ctx); isHeld(err) {
		done.User = ac.cfg.User
	}
	ac.confirmed.Store(true) // the runner remembers it in the store of the user
	r, err := ac.get(ctx)
	if err == nil {
		err = r.Load(ctx)
	}
	if err != nil {
		return done, err
	}
	s := r.Status()
	done.Deletions, done.Incomplete, done.Held = s.Awaiting, s.Doubtful, s.Held
	if err := r.Confirm(ctx); err != nil {
		return done, err
	}
	select {
	case ac.retryNow <- struct{}{}: // one that was held can be served
	default:
	}
	return done, nil
}
