package agent

import (
	"context"
	"reflect"
	"slices"
	"sync"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Reload takes up the config file as it is now, or records why it cannot be:
// the old one then stays in force. It returns when the accounts and addresses
// that changed have been replaced; all the others were not disturbed.
//
// The file is read under the lock: whoever comes last, the watcher or a
// signal, brings what is in the file last.
func (a *Agent) Reload() {
	a.accounts.Lock()
	defer a.accounts.Unlock()
	next, err := config.Load(a.Config().Path)
	if err != nil {
		a.health.Report("config", health.ConfigInvalid(err, a.users.Command("check-config")))
		return
	}
	old := a.Config()
	group := a.serving.Load()
	if group == nil || group.Context.Err() != nil {
		return
	}
	a.health.Report("config", a.needRestart(next)...)
	a.zone.Store(location(next))
	if reflect.DeepEqual(old, next) { // only a comment, say
		a.lan.look()
		return
	}
	stopped, started := a.accounts.Take(next, func() { a.cfg.Store(next) })
	a.takeServers(group.Context, old, next, group)
	a.sending.Take()
	a.smtp.look()
	a.lan.look()
	a.web.look()
	a.users.Report(group.Context)
	a.sending.Look(group.Context)
	a.log.Info().Int("accounts", len(next.Accounts)).Int("stopped", stopped).Int("started", started).Msg("changed config was taken up")
}

// needRestart applies what can be applied at once and names what cannot.
func (a *Agent) needRestart(next *config.Config) []health.Condition {
	var keys []string
	if next.DataDir != a.first.DataDir {
		keys = append(keys, "data_dir")
	}
	if next.KeepExpunged != a.first.KeepExpunged {
		keys = append(keys, "keep_expunged")
	}
	if next.Log.Format != a.first.Log.Format {
		keys = append(keys, "log.format")
	}
	if a.opts.SetLevel != nil {
		a.opts.SetLevel(next.Log.Level)
	} else if next.Log.Level != a.first.Log.Level {
		keys = append(keys, "log.level")
	}
	if len(keys) == 0 {
		return nil
	}
	return []health.Condition{health.RestartNeeded(keys)}
}

// takeServers replaces the IMAP servers that changed. A new address that
// cannot be had is a condition and is tried again.
func (a *Agent) takeServers(ctx context.Context, old, next *config.Config, group *supervise.Group) {
	servers := a.servers.loopback()
	wanted := addresses(ctx, next.IMAP.Listen)
	var wg sync.WaitGroup
	for addr, s := range servers {
		if old.IMAP.TLS != next.IMAP.TLS || !slices.Contains(wanted, addr) {
			delete(servers, addr)
			wg.Go(func() {
				s.task.Stop()
				a.health.Report(s.name)
			})
		}
	}
	wg.Wait()
	var begin []*imapServer
	for _, addr := range wanted {
		if servers[addr] != nil {
			continue
		}
		s := a.newIMAPServer(addr, next)
		var err error
		if s.listener, err = s.open(ctx); err != nil {
			a.health.Report(s.name, s.failed(err)...)
		}
		servers[addr] = s
		begin = append(begin, s)
	}
	a.servers.replace(servers) // before anyone connects: whom a device has can be told
	for _, s := range begin {
		s.serve(a, group)
	}
}
