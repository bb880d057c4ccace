// Package users has the users of a data folder and their mail stores: which there
// are, by the config and on the disk; which store each has, and whether it is the one
// that it had; opening, closing, renaming, rebuilding.
//
// A user is a local IMAP login with a folder of its own in the data folder:
//
//	users/<name>   a mail store, see mailstore
//
// Invariants: a store is opened at the first need and by one goroutine at a time; it
// stays open until Close, Rename or Rebuild; what one damaged folder does to a user it
// does to no other. The lock of a user is held while its store is opened, closed or
// moved, that of Stores never.
package users

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// Options are what Stores take from the agent.
type Options struct {
	DataDir      string
	KeepExpunged time.Duration
	Log          zerolog.Logger
	Book         *state.Book
	Health       *health.Registry
	Config       func() *config.Config // in force
}

// Stores are the users and their mail stores. The zero value is not usable, see New.
type Stores struct {
	Options
	log zerolog.Logger

	mu    sync.Mutex
	users map[string]*user
}

// New returns the stores of a data folder, which no other process has open. None is
// opened yet. Close them.
func New(o Options) *Stores {
	return &Stores{Options: o, log: o.Log.With().Str("component", "agent").Logger(), users: map[string]*user{}}
}

// Close closes the stores that are open.
func (s *Stores) Close() error {
	var errs []error
	for _, u := range s.entries() {
		u.mu.Lock()
		errs = append(errs, s.closeLocked(u))
		u.mu.Unlock()
	}
	return errors.Join(errs...)
}

// entries returns the users that were asked for.
func (s *Stores) entries() []*user {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.users))
}

// Command is a popbridge command for the config in force.
func (s *Stores) Command(rest string) string { return config.Command(s.Config().Path, rest) }

// Only returns the user that is meant: the named one, or for "" the only one there
// is. unsaid is the error where there are several.
func (s *Stores) Only(name, unsaid string) (string, error) {
	users, err := s.Names()
	if err != nil {
		return "", err
	}
	switch {
	case slices.Contains(users, name):
		return name, nil
	case name != "":
		return "", unknown(name, users)
	case len(users) == 1:
		return users[0], nil
	case len(users) == 0:
		return "", fault.New(fault.Config, unsaid, Hint(users))
	default:
		return "", fault.New(fault.Config, unsaid, fmt.Sprintf("add --user with one of: %s", strings.Join(users, ", ")))
	}
}

func unknown(name string, users []string) error {
	return fault.New(fault.Config, fmt.Sprintf("there is no user %s in the config", fault.Quote(name)),
		config.DidYouMean(name, users)+Hint(users))
}

// Hint names these users.
func Hint(users []string) string {
	if len(users) == 0 {
		return "there is no user yet: `user` of an [[account]] in the config makes one; `popbridge setup` adds an account"
	}
	return "the users are: " + strings.Join(users, ", ")
}
