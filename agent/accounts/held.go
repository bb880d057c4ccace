package accounts

import (
	"context"
	"errors"
	"fmt"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// checkUser refuses an account that is new to its user while the mail of the
// same mailbox was brought to another one: its user was changed in the config, or
// renamed. Polled at once, all that the server still has would be in two places.
func (ac *Account) checkUser(ctx context.Context, store *mailstore.Store) error {
	if ac.confirmed.Load() {
		return nil
	}
	known, err := ac.knownTo(ctx, store)
	if err != nil || known != nil {
		return err
	}
	names, err := ac.users.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == ac.Config.User {
			continue
		}
		other, err := ac.users.Store(ctx, name)
		if fault.Is(err, fault.Corrupt) {
			continue // it can say nothing
		}
		if err != nil {
			return err
		}
		if known, err = ac.knownTo(ctx, other); err != nil {
			return err
		}
		if known != nil && known.Stored > 0 && other != store {
			return ac.held(ctx, store, name, known.Stored)
		}
	}
	return nil
}

// knownTo returns what a store remembers of the account, by whatever name, or by its
// name at another port; nil when it does not know it.
func (ac *Account) knownTo(ctx context.Context, store *mailstore.Store) (*mailstore.KnownAccount, error) {
	accounts, err := store.Accounts(ctx)
	own := bridge.MailboxName(ac.Config.Username, ac.Config.Host, ac.Config.Port)
	for _, k := range accounts {
		mailbox := bridge.RememberedMailbox(k.Memory)
		if mailbox == own || k.Name == ac.Config.Name && (mailbox == "" || bridge.SameButPort(mailbox, own)) {
			return &k, err
		}
	}
	return nil, err
}

func (ac *Account) held(ctx context.Context, store *mailstore.Store, former string, messages int64) error {
	c := ac.Config
	hint := fmt.Sprintf("to go on with user %s, set user = %q for this account", former, former)
	if u, err := store.Usage(ctx); err == nil && u.Empty() {
		hint = fmt.Sprintf("if user %s is called %s now: `%s`; ", former, c.User, ac.users.Command("user rename "+former+" "+c.User)) + hint
	}
	hint += fmt.Sprintf("; to poll it for user %s and leave what is stored with user %s: `%s`", c.User, former, ac.users.Command("account confirm "+c.Name))
	return health.NewUserChanged(fault.New(fault.Conflict,
		fmt.Sprintf("user %s has %s of it, and the config now says user %s; it is not polled until you say what is meant", former, fault.Count(messages, "message"), c.User), hint))
}

// IsHeld reports whether an error of Runner is that a person has to say whose mail the
// account brings.
func IsHeld(err error) bool {
	_, ok := errors.AsType[*health.UserChanged](err)
	return ok
}

// Allow lets an account be polled that IsHeld: a person said that it is of this user.
func (ac *Account) Allow() { ac.confirmed.Store(true) }
