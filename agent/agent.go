// Package agent is the composition root: it builds the parts from a config,
// runs them side by side, takes up a changed config, and stops them in order.
//
// What it owns, and no one else:
//
//	the data folder      created 0700, locked: one process per folder (package datadir)
//	the users            with their stores, closed last (package users)
//	the accounts         with their runners, supervised (package accounts)
//	the sign-ins         and the tokens of accounts without a password (package signin)
//	an IMAP server per   listen address (imap.go, clients.go), logins (login.go, guard.go)
//	the local network    servers, logins and guard of its own (lan.go, lanlogin.go, package lan)
//	the control socket   for the command line (package control)
//	the web page         for a browser on this machine (webpage.go, package web)
//	health               what is wrong, by source (package health), and who is told (notices.go)
//	the view outside     sleep, clock, network, disks (outside.go, upkeep.go)
//
// An Agent is used in one of two ways. Run serves until its context ends. Open
// without Run is what a command does where no agent is running: the same
// objects and the same operations, only that nothing is served.
//
// Invariants: every goroutine belongs to a group that Run waits for; a failure of
// one account, user or address is a health condition of that one and never ends
// the others; no lock is held while a part is waited for, but that of the accounts by
// a reload, and those that packages accounts and users describe.
package agent

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/ownership"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Options are what an agent takes from its surroundings.
type Options struct {
	Log      zerolog.Logger
	Records  *logging.Ring         // of Log, for who asks to see it; nil: none are kept
	SetLevel func(level string)    // takes up a changed log.level; nil: that needs a restart
	Ready    func(listen []string) // called once everything is served, with the addresses in use; may be nil
	StateDir string                // see config.StateDir, its default
}

// An Agent serves one data folder.
type Agent struct {
	opts     Options
	log      zerolog.Logger
	cfg      atomic.Pointer[config.Config]
	first    *config.Config // of Open: its data_dir, keep_expunged and log.format hold until the end
	health   *health.Registry
	lock     *datadir.Lock
	users    *users.Stores
	accounts *accounts.Set
	sending  *sending.Set
	signIns  *signin.Sessions
	outside  outside
	zone     atomic.Pointer[time.Location] // see location
	guard    *guard
	alerts   alerts

	tls  *localTLS
	lan  *lanAccess
	web  *webAccess
	smtp *smtpAccess

	servers imapServers
	ops     *operations.Local
	serving atomic.Pointer[supervise.Group] // nil unless Run is under way
}

// Open locks the data folder of cfg and makes what it describes, without
// contacting anybody. Close the agent.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Agent, error) {
	if err := users.Missing(cfg, o.StateDir); err != nil {
		return nil, err
	}
	lock, err := datadir.Open(ctx, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		opts: o, log: o.Log.With().Str("component", "agent").Logger(), lock: lock, first: cfg,
		outside: realOutside(),
		tls:     &localTLS{dir: filepath.Join(cfg.DataDir, "tls")},
		health:  health.New(o.Log.With().Str("component", "health").Logger(), time.Now),
	}
	a.cfg.Store(cfg)
	a.users = users.New(users.Options{DataDir: cfg.DataDir, KeepExpunged: cfg.KeepExpunged, Log: o.Log, Book: state.Open(o.StateDir, cfg.Path), Health: a.health, Config: a.Config})
	tokens := signin.New(cfg.DataDir, o.Log, a.users.Command)
	a.signIns = signin.NewSessions(tokens)
	a.accounts = accounts.New(a.users, tokens, func(account string) { a.sending.Wake(account) })
	a.sending = sending.New(a.users, tokens)
	a.smtp = &smtpAccess{agent: a}
	a.servers.config, a.servers.smtp = a.Config, a.smtp
	a.alerts.agent = a
	a.lan = newLANAccess(a)
	a.web = &webAccess{agent: a}
	a.ops = operations.New(a.users, a.accounts, a.sending, a.signIns, &a.servers, a.lan, a.web, a.running, a.Reload)
	a.ops.ShowLog(o.Records)
	a.web.open()
	a.zone.Store(location(cfg))
	a.guard = newGuard(a.refused)
	a.users.Known() // where the file is damaged, that is a condition until the next start
	if f := ownership.Protect(cfg.DataDir); f != nil {
		a.health.Report("data folder access", health.DataExposed(f.Why, f.Hint)) // until the next start
	}
	return a, nil
}

// Close closes the stores and releases the data folder. Run has returned.
func (a *Agent) Close() error {
	a.signIns.Close()
	return errors.Join(a.users.Close(), a.lock.Close())
}

// Operations are what can be asked of the agent, whether it runs or was only opened.
func (a *Agent) Operations() *operations.Local { return a.ops }

func (a *Agent) running() bool { return a.serving.Load() != nil }

// Retry tries the accounts whose last poll failed, as soon as their servers allow.
func (a *Agent) Retry() { a.accounts.Retry(func(config.Account) bool { return true }) }

// Config returns the config in force.
func (a *Agent) Config() *config.Config { return a.cfg.Load() }
