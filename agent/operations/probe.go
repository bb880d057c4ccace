package operations

import (
	"context"
	"net"
	"strconv"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
)

// Probe is about the accounts as the config file has them now, which the watcher may
// take up a moment later.
func (l *Local) Probe(ctx context.Context, names []string) ([]Probe, error) {
	if path := l.users.Config().Path; l.running() && path != "" {
		config.WaitSettled(ctx, path)
		l.reload()
	}
	return each(ctx, l, names, func(ac *accounts.Account) Probe { return probe(ctx, ac) })
}

func probe(ctx context.Context, ac *accounts.Account) Probe {
	answer := Probe{Account: ac.Config.Name, Server: net.JoinHostPort(ac.Config.Host, strconv.Itoa(ac.Config.Port)), Warnings: []string{}}
	answer.Error, answer.Hint = said(withRunner(ctx, ac, func(r *bridge.Runner) error {
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
	}))
	return answer
}
