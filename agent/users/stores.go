package users

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/popbridge/popbridge/agent/health"
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

func (s *Stores) closeLocked(u *user) error {
	if u.store == nil {
		return nil
	}
	store := u.store
	u.store = nil
	s.noteUsed(context.Background(), u, store)
	u.noted.Store(false)
	err := store.Close()
	s.closed(store)
	return err
}

// Store returns the open store of a user that the config names or whose mail is
// on the disk. It stays open until the agent stops: clients may be reading it.
func (s *Stores) Store(ctx context.Context, name string) (*mailstore.Store, error) {
	for {
		u, err := s.user(name)
		if err != nil {
			return nil, err
		}
		store, renamed, err := s.openUser(ctx, u)
		if !renamed {
			return store, err
		}
	}
}

// user returns the user of that name, who may be there under a name that the
// file system takes for the same.
func (s *Stores) user(name string) (*user, error) {
	s.mu.Lock()
	u := s.users[name]
	s.mu.Unlock()
	named := slices.Contains(s.Config().Users(), name)
	if !named && (u == nil || !u.isOpen()) { // nothing is made for a name that a client made up
		users, err := s.Names()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(users, name) {
			return nil, unknown(name, users)
		}
	}
	return s.userEntry(name), nil
}

func (u *user) isOpen() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.store != nil
}

func (s *Stores) userEntry(name string) *user {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[name]; u != nil {
		return u
	}
	dir := s.Dir(name)
	for other, u := range s.users {
		if strings.EqualFold(other, name) && sameFolder(u.dir, dir) {
			return u
		}
	}
	u := &user{name: name, dir: dir}
	s.users[name] = u
	return u
}

// openUser opens the store at the first need. renamed tells that u is no user
// any more.
func (s *Stores) openUser(ctx context.Context, u *user) (store *mailstore.Store, renamed bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.renamed {
		return nil, true, nil
	}
	store, err = s.openLocked(ctx, u)
	return store, false, err
}

func (s *Stores) openLocked(ctx context.Context, u *user) (*mailstore.Store, error) {
	if u.store != nil {
		s.noteUsed(ctx, u, u.store) // mail may have come since it was opened
		return u.store, nil
	}
	store, err := s.openStore(ctx, u)
	if ctx.Err() == nil {
		s.Health.Report("user "+u.name, health.Store(u.name, err)...)
	}
	if err != nil {
		return nil, err
	}
	u.store = store
	s.ReportStore(ctx, u.name, store)
	return store, nil
}

func (s *Stores) storeOptions(user string) mailstore.Options {
	return mailstore.Options{KeepExpunged: s.KeepExpunged, IndexText: true,
		Log: s.Log.With().Str("component", "mailstore").Str("user", user).Logger()}
}
