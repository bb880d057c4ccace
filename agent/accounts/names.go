package accounts

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// nameAccounts makes what a store remembers of the mailboxes of a user go by the
// names that these have in the config now: otherwise an account that got the name of
// another one would take that one's mail for its own, and have its own fetched again.
// No account whose name or mailbox has changed is polled meanwhile: Take ends them
// before.
func (s *Set) nameAccounts(ctx context.Context, user string, store *mailstore.Store) error {
	select {
	case s.naming <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.naming }()
	known, err := store.Accounts(ctx)
	if err != nil {
		return err
	}
	accounts := slices.DeleteFunc(slices.Clone(s.users.Config().Accounts), func(c config.Account) bool { return c.User != user })
	names := newNames(known, accounts)
	if len(names) > 0 {
		s.log.Info().Str("user", user).Interface("names", names).Msg("accounts have other names in the config")
	}
	return store.RenameAccounts(ctx, names)
}

// newNames returns what is remembered under another name than its mailbox has, and
// what is in the way of that.
func newNames(known []mailstore.KnownAccount, accounts []config.Account) map[string]string {
	names := make(map[string]string)
	taken := func(name string) bool {
		return slices.ContainsFunc(known, func(k mailstore.KnownAccount) bool { return k.Name == name }) ||
			slices.ContainsFunc(accounts, func(c config.Account) bool { return c.Name == name })
	}
	for _, c := range accounts {
		mailbox := bridge.MailboxName(c.Username, c.Host, c.Port)
		its := func(k mailstore.KnownAccount) bool { return bridge.RememberedMailbox(k.Memory) == mailbox }
		i := -1
		for n, k := range known {
			if its(k) && (i < 0 || k.Stored > known[i].Stored) { // there may be one that came to nothing
				i = n
			}
		}
		if i < 0 || known[i].Name == c.Name || known[i].Stored == 0 && slices.ContainsFunc(known, func(k mailstore.KnownAccount) bool { return k.Name == c.Name && its(k) }) || names[known[i].Name] != "" {
			continue
		}
		names[known[i].Name] = c.Name
	}
	for _, k := range known {
		displaced := slices.Contains(slices.Collect(maps.Values(names)), k.Name)
		if displaced && names[k.Name] == "" {
			n := 1
			for taken(fmt.Sprintf("%s (former %d)", k.Name, n)) {
				n++
			}
			names[k.Name] = fmt.Sprintf("%s (former %d)", k.Name, n)
		}
	}
	return names
}
