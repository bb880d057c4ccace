// Package agent is the composition root: it builds the parts from a config,
// runs them side by side, takes up a changed config, and stops them in order.
//
// What it owns, and no one else:
//
//	the data folder      created 0700, locked: one process per folder (lock.go)
//	a store per user     opened when first needed, closed last (users.go)
//	a runner per account supervised: it is restarted when it fails (accounts.go)
//	an IMAP server per   listen address (imap.go)
//	the control socket   for the command line (package control)
//	health               what is wrong, by source (package health)
//	the view outside     sleep, clock, network, disks (outside.go, upkeep.go)
//
// An Agent is used in one of two ways. Run serves until its context ends. Open
// without Run is what a command does where no agent is running: the same
// objects and the same operations, only that nothing is served.
//
// Invariants: every goroutine belongs to a group that Run waits for; the
// a failure of one account, user or address is a health condition of that one
// and never ends the others; a.mu and account.mu are never held while a part
// is waited for (a.reload is, by reloads only; user.mu is, by who needs that
// user's store).
package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// Options are what an agent takes from its surroundings.
type Options struct {
	Log      zerolog.Logger
	SetLevel func(level string)    // takes up a changed log.level; nil: that needs a restart
	Ready    func(listen []string) // called once everything is served, with the addresses in use; may be nil
	StateDir string                // see config.StateDir, its default
}

// An Agent serves one data folder.
type Agent struct {
	opts    Options
	log     zerolog.Logger
	first   *config.Config // of Open: its data_dir, keep_expunged and log.format hold until the end
	health  *health.Registry
	lock    *lock
	book    *state.Book // what is known of the stores, outside of them
	outside outside
	zone    atomic.Pointer[time.Location] // see location
	guard   *guard
	alerts  alerts

	tls *localTLS

	reload sync.Mutex    // held by the one who takes up a config
	naming chan struct{} // has an element while a config is taken up or accounts are named, see nameAccounts

	rounds sync.RWMutex // held for reading by what goes over the stores for long, for writing by a rename

	mu       sync.Mutex // guards what follows
	cfg      *config.Config
	users    map[string]*user
	accounts map[string]*account
	servers  map[string]*imapServer // by configured address
	serving  *serving               // nil unless Run is under way
}

// serving is what goroutines that come and go with a reload belong to.
type serving struct {
	ctx context.Context // ends when the agent drains
	wg  sync.WaitGroup
}

// Open locks the data folder of cfg and makes what it describes, without
// contacting anybody. Close the agent.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Agent, error) {
	b := book(cfg, o)
	known, damaged := b.Read()
	if err := absent(cfg, known.Users); err != nil {
		return nil, err
	}
	if err := makeDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	l, err := acquire(ctx, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		opts: o, log: o.Log.With().Str("component", "agent").Logger(), lock: l, book: b, cfg: cfg, first: cfg,
		outside:  realOutside(),
		tls:      &localTLS{dir: filepath.Join(cfg.DataDir, "tls")},
		health:   health.New(o.Log.With().Str("component", "health").Logger(), time.Now),
		users:    map[string]*user{},
		accounts: map[string]*account{},
		servers:  map[string]*imapServer{},
		naming:   make(chan struct{}, 1),
	}
	a.zone.Store(location(cfg))
	a.guard = newGuard(a.refused)
	if damaged != nil {
		a.health.Report("state file", health.State(damaged)) // until the next start
	}
	if f := ownership.Protect(cfg.DataDir); f != nil {
		a.health.Report("data folder access", health.DataExposed(f.Why, f.Hint)) // until the next start
	}
	for _, c := range cfg.Accounts {
		a.accounts[c.Name] = a.newAccount(c)
	}
	return a, nil
}

// Close closes the stores and releases the data folder. Run has returned.
func (a *Agent) Close() error {
	a.mu.Lock()
	users := maps.Clone(a.users)
	a.mu.Unlock()
	var errs []error
	for _, u := range users {
		errs = append(errs, a.closeStore(u))
	}
	return errors.Join(append(errs, a.lock.release())...)
}

// Config returns the config in force.
func (a *Agent) Config() *config.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

// protect turns a panic into an error, so that it ends one part and not the
// process.
func protect(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, fmt.Sprintf("a defect of popbridge: %v", p), "please report it with the log")
		}
	}()
	return work()
}
