// Package accounts runs the POP3 accounts of the config: each has a runner (package
// bridge) that is made when it can be, supervised, and replaced when the config
// changes.
//
// Invariants: a mailbox is polled by one runner at a time, and into the store that it
// has polled into before (held.go, names.go); a failure of one account is a condition
// of that one; no lock is held while a runner is waited for, but those of changes and
// of naming.
package accounts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// A Set is the accounts of the config in force.
type Set struct {
	users  *users.Stores
	tokens *signin.Tokens
	log    zerolog.Logger
	// polled is told of each poll that went well; it must return quickly.
	polled func(account string)

	// BeforePoll is called before an account can poll, and again after it broke down; nil: nothing is.
	BeforePoll func(ctx context.Context, c config.Account)

	changing sync.Mutex    // see Lock
	naming   chan struct{} // has an element while accounts are replaced or named, see nameAccounts

	mu       sync.Mutex // guards what follows
	accounts map[string]*Account
	group    *supervise.Group // nil unless they are served
}

// New returns the accounts of the config, not served yet. They poll into these stores.
// polled is told of each poll that went well; it must return quickly.
func New(u *users.Stores, tokens *signin.Tokens, polled func(account string)) *Set {
	s := &Set{users: u, tokens: tokens, polled: polled, log: u.Log.With().Str("component", "agent").Logger(), naming: make(chan struct{}, 1), accounts: map[string]*Account{}}
	for _, c := range u.Config().Accounts {
		s.accounts[c.Name] = s.newAccount(c)
	}
	return s
}

func (s *Set) newAccount(c config.Account) *Account {
	return &Account{set: s, users: s.users, Config: c, retryNow: make(chan struct{}, 1)}
}

// Serve polls the accounts, and those that replace them, until the group ends. It is
// called between Lock and Unlock.
func (s *Set) Serve(group *supervise.Group) {
	s.mu.Lock()
	s.group = group
	s.mu.Unlock()
	s.serve(s.All())
}

// Lock is for who takes up a config, and for who needs that none is taken up.
func (s *Set) Lock() { s.changing.Lock() }

// Unlock is the end of Lock.
func (s *Set) Unlock() { s.changing.Unlock() }

// All returns the accounts in the order of the config.
func (s *Set) All() []*Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Account
	for _, c := range s.users.Config().Accounts {
		list = append(list, s.accounts[c.Name])
	}
	return list
}

// Choose returns the accounts of these names, or all of them in file order.
func (s *Set) Choose(names []string) ([]*Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.users.Config()
	var known []string
	var chosen []*Account
	for _, c := range cfg.Accounts {
		known = append(known, c.Name)
		if len(names) == 0 {
			chosen = append(chosen, s.accounts[c.Name])
		}
	}
	if len(known) == 0 {
		return nil, fault.New(fault.Config, "there is no account in the config", "`popbridge setup` adds one, `popbridge account add` does without questions")
	}
	for _, name := range names {
		c, ok := cfg.Account(name)
		if !ok {
			return nil, fault.New(fault.Config, fmt.Sprintf("there is no account %s in the config", fault.Quote(name)),
				config.DidYouMean(name, known)+"the accounts are: "+strings.Join(known, ", "))
		}
		if ac := s.accounts[c.Name]; !slices.Contains(chosen, ac) {
			chosen = append(chosen, ac)
		}
	}
	return chosen, nil
}

// Take replaces the accounts that a changed config changes, and calls apply, after
// which that config is in force. Those that end do so side by side and before any new
// one starts: the same mailbox may be among both. It is called between Lock and Unlock.
func (s *Set) Take(next *config.Config, apply func()) (stopped, started int) {
	s.naming <- struct{}{}
	s.mu.Lock()
	apply()
	keep := map[string]*Account{}
	var begin []*Account
	for _, c := range next.Accounts {
		if ac := s.accounts[c.Name]; ac != nil && ac.Config.Equal(c) {
			keep[c.Name] = ac
			continue
		}
		if old := s.accounts[c.Name]; old != nil && (old.Config.User != c.User || old.Config.Folder != c.Folder) {
			s.log.Warn().Str("account", c.Name).Str("user", c.User).Str("folder", c.Folder).
				Msg("new mail goes elsewhere from now on; what is stored stays where it is")
		}
		ac := s.newAccount(c)
		keep[c.Name] = ac
		begin = append(begin, ac)
	}
	var end []*Account
	for name, ac := range s.accounts {
		if keep[name] != ac {
			end = append(end, ac)
		}
	}
	s.accounts = keep
	s.mu.Unlock()

	var wg sync.WaitGroup
	for _, ac := range end {
		wg.Go(ac.retire)
	}
	wg.Wait()
	<-s.naming
	s.serve(begin)
	return len(end), len(begin)
}

func (s *Set) serve(list []*Account) {
	s.mu.Lock()
	group := s.group
	s.mu.Unlock()
	if group == nil {
		return
	}
	for _, ac := range list {
		if !ac.Config.Paused {
			ac.serve(group)
		}
	}
}

// Pause ends these accounts until resume is called. It is called between Lock and
// Unlock.
func (s *Set) Pause(which func(config.Account) bool) (resume func()) {
	s.mu.Lock()
	var old, fresh []*Account
	for name, ac := range s.accounts {
		if which(ac.Config) {
			old = append(old, ac)
			fresh = append(fresh, s.newAccount(ac.Config))
			s.accounts[name] = fresh[len(fresh)-1]
		}
	}
	s.mu.Unlock()
	for _, ac := range old {
		ac.retire()
	}
	return func() { s.serve(fresh) }
}

// Resume drops the connections of these accounts, and polls them as soon as their
// servers allow.
func (s *Set) Resume(reason string, which func(config.Account) bool) {
	for _, ac := range s.All() {
		if which(ac.Config) {
			ac.resume(reason)
		}
	}
}

// Retry tries those of these accounts whose last poll failed, as soon as their servers
// allow.
func (s *Set) Retry(which func(config.Account) bool) {
	for _, ac := range s.All() {
		if r := ac.current(); r != nil && which(ac.Config) {
			r.Retry()
		}
	}
}

// Wake polls the accounts whose mail goes where a client just looks.
func (s *Set) Wake(user, folder string) {
	for _, ac := range s.All() {
		if r := ac.current(); r != nil && ac.Config.User == user && ac.Config.Folder == folder {
			r.Wake()
		}
	}
}
