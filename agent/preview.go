package agent

import (
	"context"
	"sync"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/internal/fault"
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
	answer := control.Preview{Account: ac.cfg.Name, Shadow: ac.cfg.Shadow, Delete: []control.Deletion{}}
	err := protect(func() error {
		r, err := ac.get(ctx)
		if err != nil {
			return err
		}
		p, err := r.Preview(ctx)
		if err != nil {
			return err
		}
		answer.Fetch, answer.Kept, answer.Policy, answer.NeedsConfirm = p.Fetch, p.Kept, p.Policy, p.NeedsConfirm
		for _, d := range p.Delete {
			answer.Delete = append(answer.Delete, control.Deletion{UIDL: d.UIDL, Size: d.Size, StoredAt: timeOrNil(d.StoredAt), Reason: d.Reason})
		}
		return nil
	})
	if err != nil {
		answer.Error, answer.Hint = err.Error(), fault.Hint(err)
	}
	return answer
}

// Confirm implements control.Operations.
func (a *Agent) Confirm(ctx context.Context, name string) error {
	accounts, err := a.choose([]string{name})
	if err != nil {
		return err
	}
	r, err := accounts[0].get(ctx)
	if err != nil {
		return err
	}
	return r.Confirm(ctx)
}
