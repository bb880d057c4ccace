package users

import (
	"context"
	"fmt"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Report makes a condition of each user whose mail has no account.
func (s *Stores) Report(ctx context.Context) {
	users := s.Config().Users()
	stored, _, err := storedUsers(s.DataDir)
	if err != nil {
		return // a condition of every store
	}
	var list []health.Condition
	for _, name := range s.without(stored, users) {
		store, err := s.Store(ctx, name)
		if err != nil {
			continue // a condition of this user
		}
		u, err := store.Usage(ctx)
		if err == nil && u.Messages > 0 {
			list = append(list, health.UserWithoutAccount(name, u.Messages, s.renamedHint(ctx, name, users)))
		}
	}
	if ctx.Err() == nil {
		s.Health.Report("users", list...)
	}
}

// renamedHint names the command for what it looks like: a user of the config
// without mail, while another one lost the accounts.
func (s *Stores) renamedHint(ctx context.Context, name string, users []string) string {
	for _, user := range users {
		if store, err := s.Store(ctx, user); err == nil {
			if u, err := store.Usage(ctx); err == nil && u.Empty() {
				return fmt.Sprintf("user %s of the config has no mail yet; if that is the same person, set user = %q for the accounts, or call %s that: `%s`",
					user, name, name, s.Command("user rename "+name+" "+user))
			}
		}
	}
	return "if the user has another name now: `" + s.Command("user rename "+name+" NEW") + "`"
}

// ReportStore tells of an older copy until a person has confirmed it, and of
// messages whose files are gone until they are back or deleted.
func (s *Stores) ReportStore(ctx context.Context, name string, store *mailstore.Store) {
	if store != nil {
		if u, err := store.Usage(ctx); err == nil && u.Missing > 0 {
			s.Health.Report("damage of "+name, health.MessagesDamaged(name, u.Missing, s.Command("sync"), s.Command("check")))
		} else if err == nil {
			s.Health.Report("damage of " + name)
		}
	}
	if store != nil && store.PutBack() {
		s.Note(func(f *state.File) {
			now := time.Now().UTC().Truncate(time.Second)
			f.Users[name] = state.User{Store: store.ID(), Dir: s.Dir(name), PutBack: &now}
		})
	}
	if k := s.Known().Users[name]; k.PutBack != nil {
		s.Health.Report("copy of "+name, health.StorePutBack(name, *k.PutBack, s.Command("user confirm "+name)))
		return
	}
	s.Health.Report("copy of " + name)
}

// ReportOpen is ReportStore for the stores that are open.
func (s *Stores) ReportOpen(ctx context.Context) {
	for _, u := range s.entries() {
		u.mu.Lock()
		store := u.store
		u.mu.Unlock()
		if store != nil {
			s.ReportStore(ctx, u.name, store)
		}
	}
}
