package operations

import (
	"context"
	"net"
	"strconv"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/secret"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Probe is what a login at the server of an account found.
type Probe struct {
	Account      string   `json:"account"`
	Server       string   `json:"server"`       // host:port
	TLS          string   `json:"tls"`          // version and cipher suite; "" in the clear, or not connected
	Certificate  string   `json:"certificate"`  // for whom, by whom, until when
	Pin          string   `json:"pin"`          // of the server's key, for tls_pin; with an error: of a key whose certificate was refused
	Pinned       bool     `json:"pinned"`       // tls_pin decided
	Capabilities string   `json:"capabilities"` // "" for a server without CAPA
	Messages     int      `json:"messages"`
	Bytes        int64    `json:"bytes"`
	Warnings     []string `json:"warnings"` // oddities of the server
	Refused      bool     `json:"refused"`  // the server does not take user name or password
	Error        string   `json:"error"`
	Kind         string   `json:"kind,omitempty"` // of the error: fault.Kind
	Hint         string   `json:"hint"`
	// Sending is the login at the outgoing server; null: popbridge sends nothing there, or
	// the password was refused before and is not tried a second time.
	Sending *SendProbe `json:"sending"`
}

// SendProbe is what a login at the outgoing server of an account came to.
type SendProbe struct {
	Server string `json:"server"` // host:port
	Error  string `json:"error"`
	Kind   string `json:"kind,omitempty"` // of the error: fault.Kind
	Hint   string `json:"hint"`
}

// Probe is about the accounts as the config file has them now, which the watcher may
// take up a moment later.
func (l *Local) Probe(ctx context.Context, names []string) ([]Probe, error) {
	if err := l.Reload(ctx); err != nil {
		return nil, err
	}
	return each(ctx, l, names, func(ac *accounts.Account) Probe {
		p := probe(ctx, ac)
		if !p.Refused { // the same password twice locks accounts of some providers
			p.Sending = l.probeSending(ctx, ac.Config)
		}
		return p
	})
}

// probeSending logs in at the outgoing server of an account, where popbridge sends by it.
func (l *Local) probeSending(ctx context.Context, c config.Account) *SendProbe {
	way, known := sending.WayOf(c)
	if !known || len(l.users.Config().SMTP.Listen) == 0 {
		return nil
	}
	err := supervise.Protect(func() error { return l.sending.Try(ctx, c) })
	p := &SendProbe{Server: net.JoinHostPort(way.Host, strconv.Itoa(way.Port)), Kind: kindOf(err)}
	p.Error, p.Hint = said(err)
	return p
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
