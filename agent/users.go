package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A user is a local IMAP login and its store. The store is opened at the first
// need and again after a failure, so that one damaged folder is one user's
// trouble.
type user struct {
	name string
	dir  string

	mu    sync.Mutex
	store *mailstore.Store
}

func (u *user) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store == nil {
		return nil
	}
	return u.store.Close()
}

// store returns the open store of a user that the config names. The stores of
// users that a reload removed stay open until the agent stops: clients may be
// reading them.
func (a *Agent) store(ctx context.Context, name string) (*mailstore.Store, error) {
	a.mu.Lock()
	users := a.cfg.Users()
	if !slices.Contains(users, name) {
		a.mu.Unlock()
		return nil, unknownUser(name, users)
	}
	u := a.users[name]
	if u == nil {
		u = &user{name: name, dir: filepath.Join(a.first.DataDir, "users", name)}
		a.users[name] = u
	}
	a.mu.Unlock()

	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store != nil {
		return u.store, nil
	}
	s, err := mailstore.Open(ctx, u.dir, a.storeOptions(name))
	if ctx.Err() == nil {
		a.health.Report("user "+name, health.Store(name, err)...)
	}
	if err != nil {
		return nil, err
	}
	u.store = s
	return s, nil
}

func (a *Agent) storeOptions(user string) mailstore.Options {
	return mailstore.Options{KeepExpunged: a.first.KeepExpunged, IndexText: true,
		Log: a.opts.Log.With().Str("component", "mailstore").Str("user", user).Logger()}
}

func unknownUser(name string, users []string) error {
	return fault.New(fault.Config, fmt.Sprintf("there is no user %s in the config", fault.Quote(name)),
		didYouMean(name, users)+"the users are: "+strings.Join(users, ", "))
}

// login is how mail clients get in: any device password of that user. Who asks
// does not learn whether the user or the password was wrong.
func (a *Agent) login(ctx context.Context, name, password string) (*mailstore.Store, mailstore.Device, error) {
	s, err := a.store(ctx, name)
	if fault.Is(err, fault.Config) {
		err = fault.New(fault.Auth, "user name or password refused", "make a password with `popbridge device add`")
	}
	if err != nil {
		return nil, mailstore.Device{}, err
	}
	d, err := s.Authenticate(ctx, password)
	return s, d, err
}
