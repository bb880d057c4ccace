package operations

import (
	"context"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/internal/mailstore"
)

func (l *Local) Preview(ctx context.Context, names []string) ([]Preview, error) {
	return each(ctx, l, names, func(ac *accounts.Account) Preview { return l.preview(ctx, ac) })
}

func (l *Local) preview(ctx context.Context, ac *accounts.Account) Preview {
	answer := Preview{Account: ac.Config.Name, Shadow: ac.Config.Shadow}
	answer.Error, answer.Hint = said(withRunner(ctx, ac, func(r *bridge.Runner) error {
		p, err := r.Preview(ctx)
		if err != nil {
			return err
		}
		answer.Preview = p
		answer.Doubtful = r.Status().Doubtful
		answer.Delete, err = l.deletions(ctx, ac, p.Delete)
		return err
	}))
	return answer
}

// deletions names the messages that would be deleted.
func (l *Local) deletions(ctx context.Context, ac *accounts.Account, list []bridge.PreviewDelete) ([]Deletion, error) {
	out := make([]Deletion, len(list))
	hashes := make([]mailstore.Hash, len(list))
	for i, d := range list {
		out[i] = Deletion{UIDL: d.UIDL, Size: d.Size, StoredAt: timeOrNil(d.StoredAt), Reason: d.Reason}
		hashes[i] = d.Hash
	}
	if len(list) == 0 {
		return out, nil
	}
	store, err := l.users.Store(ctx, ac.Config.User)
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

func (l *Local) Confirm(ctx context.Context, name string) (done Confirmed, err error) {
	chosen, err := l.accounts.Choose([]string{name})
	if err != nil {
		return done, err
	}
	ac := chosen[0]
	if _, err := ac.Runner(ctx); accounts.IsHeld(err) {
		done.User = ac.Config.User
	}
	ac.Allow() // the runner remembers it in the store of the user
	r, err := ac.Runner(ctx)
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
	ac.RetryNow() // one that was held can be served
	return done, nil
}
