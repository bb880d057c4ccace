package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A user is a local IMAP login and its store. The store is opened at the first
// need and again after a failure, so that one damaged folder is one user's
// failure.
type user struct {
	name string
	dir  string

	noted atomic.Bool // the state file says which store it has

	mu      sync.Mutex
	store   *mailstore.Store
	renamed bool // the folder has gone to another user, or was removed for one
}

func (a *Agent) closeStore(u *user) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return a.closeLocked(u)
}

func (a *Agent) closeLocked(u *user) error {
	if u.store == nil {
		return nil
	}
	s := u.store
	u.store = nil
	a.noteUsed(context.Background(), u, s)
	u.noted.Store(false)
	err := s.Close()
	a.closed(s)
	return err
}

// store returns the open store of a user that the config names or whose mail is
// on the disk. It stays open until the agent stops: clients may be reading it.
func (a *Agent) store(ctx context.Context, name string) (*mailstore.Store, error) {
	for {
		u, err := a.user(name)
		if err != nil {
			return nil, err
		}
		s, renamed, err := a.openUser(ctx, u)
		if !renamed {
			return s, err
		}
	}
}

// user returns the user of that name, who may be there under a name that the
// file system takes for the same.
func (a *Agent) user(name string) (*user, error) {
	a.mu.Lock()
	u, named := a.users[name], slices.Contains(a.cfg.Users(), name)
	a.mu.Unlock()
	if !named && (u == nil || !u.isOpen()) { // nothing is made for a name that a client made up
		users, err := a.userNames()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(users, name) {
			return nil, unknownUser(name, users)
		}
	}
	return a.userEntry(name), nil
}

func (u *user) isOpen() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.store != nil
}

func (a *Agent) userEntry(name string) *user {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.users[name]; u != nil {
		return u
	}
	dir := a.userDir(name)
	for other, u := range a.users {
		if strings.EqualFold(other, name) && sameFolder(u.dir, dir) {
			return u
		}
	}
	u := &user{name: name, dir: dir}
	a.users[name] = u
	return u
}

// openUser opens the store at the first need. renamed tells that u is no user
// any more.
func (a *Agent) openUser(ctx context.Context, u *user) (s *mailstore.Store, renamed bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.renamed {
		return nil, true, nil
	}
	s, err = a.openLocked(ctx, u)
	return s, false, err
}

func (a *Agent) openLocked(ctx context.Context, u *user) (*mailstore.Store, error) {
	if u.store != nil {
		a.noteUsed(ctx, u, u.store) // mail may have come since it was opened
		return u.store, nil
	}
	s, err := a.openStore(ctx, u)
	if ctx.Err() == nil {
		a.health.Report("user "+u.name, health.Store(u.name, err)...)
	}
	if err != nil {
		return nil, err
	}
	u.store = s
	a.reportStore(ctx, u.name, s)
	return s, nil
}

func (a *Agent) storeOptions(user string) mailstore.Options {
	return mailstore.Options{KeepExpunged: a.first.KeepExpunged, IndexText: true,
		Log: a.opts.Log.With().Str("component", "mailstore").Str("user", user).Logger()}
}

func unknownUser(name string, users []string) error {
	return fault.New(fault.Config, fmt.Sprintf("there is no user %s in the config", fault.Quote(name)),
		config.DidYouMean(name, users)+theUsers(users))
}
