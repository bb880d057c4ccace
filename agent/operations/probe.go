package operations

import (
	"context"
	"net"
	"strconv"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/secret"
)

// Probe is about the accounts as the config file has them now, which the watcher may
// take up a moment later.
func (l *Local) Probe(ctx context.Context, names []string) ([]Probe, error) {
	if err := l.Reload(ctx); err != nil {
		return nil, err
	}
	return each(ctx, l, names, func(ac *accounts.Account) Probe { return probe(ctx, ac) })
}

func (l *Local) Reload(ctx context.Context) error {
	l.takeUp(ctx)
	return nil
}

// takeUp is Reload. That it was cut short is no error of the change before it, which would
// be made again: what is wrong with the config is a condition.
func (l *Local) takeUp(ctx context.Context) {
	if path := l.users.Config().Path; l.running() && path != "" {
		config.WaitSettled(ctx, path)
		l.reload() // which may end the listener that asks: the answer is as good
	}
}

func probe(ctx context.Context, ac *accounts.Account) Probe {
	var p bridge.Probe
	err := withRunner(ctx, ac, func(r *bridge.Runner) (err error) {
		p, err = r.Probe(ctx)
		return err
	})
	return probed(ac.Config, p, err)
}

// Try is Probe for an account that the config does not have yet, with a password that
// is not stored yet.
func Try(ctx context.Context, c config.Account, password secret.Secret) Probe {
	p, err := accounts.Try(ctx, c, password)
	return probed(c, p, err)
}

// TryEither is Try with the user name of the account and, where that is refused, with
// another one; "" is none. It returns the one to go on with.
func TryEither(ctx context.Context, c config.Account, other string, password secret.Secret) (Probe, string) {
	first := Try(ctx, c, password)
	if first.Error == "" || other == "" {
		return first, c.Username
	}
	username := c.Username
	c.Username = other
	if second := Try(ctx, c, password); second.Error == "" {
		return second, other
	}
	return first, username
}

func probed(c config.Account, p bridge.Probe, err error) Probe {
	answer := Probe{Account: c.Name, Server: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), Warnings: []string{}}
	if err != nil {
		answer.Error, answer.Hint = said(err)
		answer.Kind = kindOf(err)
		answer.Refused = fault.Is(err, fault.Auth)
		if pin, ok := mailconn.UntrustedPin(err); ok {
			answer.Pin = pin.String()
		}
		return answer
	}
	if t := p.TLS; t != nil {
		answer.TLS, answer.Certificate = t.Version+", "+t.Cipher, t.Certificate
		answer.Pin, answer.Pinned = t.Pin.String(), t.Pinned
	}
	answer.Capabilities, answer.Messages, answer.Bytes = p.Capabilities, p.Messages, p.Size
	answer.Warnings = append(answer.Warnings, p.Warnings...)
	return answer
}
