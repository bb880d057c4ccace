package operations

import (
	"context"
	"net"
	"strconv"
	"sync"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Probe implements Operations. It is about the accounts as the config file has
// them now, which the watcher may take up a moment later.
func (l *Local) Probe(ctx context.Context, names []string) ([]Probe, error) {
	if path := l.users.Config().Path; l.running() && path != "" {
		config.WaitSettled(ctx, path)
		l.reload()
	}
	chosen, err := l.accounts.Choose(names)
	if err != nil {
		return nil, err
	}
	probes := make([]Probe, len(chosen))
	var wg sync.WaitGroup
	for i, ac := range chosen {
		wg.Go(func() { probes[i] = probe(ctx, ac) })
	}
	wg.Wait()
	return probes, ctx.Err()
}

func probe(ctx context.Context, ac *accounts.Account) Probe {
	answer := Probe{Account: ac.Config.Name, Server: net.JoinHostPort(ac.Config.Host, strconv.Itoa(ac.Config.Port)), Warnings: []string{}}
	err := supervise.Protect(func() error {
		r, err := ac.Runner(ctx)
		if err != nil {
			return err
		}
		p, err := r.Probe(ctx)
		if err != nil {
			return err
		}
		if t := p.TLS; t != nil {
			answer.TLS, answer.Certificate = t.Version+", "+t.Cipher, t.Certificate
			answer.Pin, answer.Pinned = t.Pin.String(), t.Pinned
		}
		answer.Capabilities, answer.Messages, answer.Bytes = p.Capabilities, p.Messages, p.Size
		answer.Warnings = append(answer.Warnings, p.Warnings...)
		return nil
	})
	if err != nil {
		answer.Error, answer.Hint = err.Error(), fault.Hint(err)
	}
	return answer
}
