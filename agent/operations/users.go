package operations

import (
	"context"
	"fmt"
	"strings"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

func (l *Local) Users(ctx context.Context) ([]User, error) {
	names, err := l.users.Names()
	if err != nil {
		return nil, err
	}
	list := []User{}
	for _, name := range names {
		u, err := l.describeUser(ctx, name)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		u.Error, u.Hint = said(err)
		list = append(list, u)
	}
	return list, nil
}

func (l *Local) describeUser(ctx context.Context, name string) (User, error) {
	user := User{Name: name, Accounts: []string{}, Devices: []string{}}
	for _, c := range l.users.Config().Accounts {
		if c.User == name {
			user.Accounts = append(user.Accounts, c.Name)
		}
	}
	store, err := l.users.Store(ctx, name)
	if err != nil {
		return user, err
	}
	usage, err := store.Usage(ctx)
	if err != nil {
		return user, err
	}
	user.Messages, user.Size = usage.Messages, usage.Size
	devices, err := store.Devices(ctx)
	for _, d := range devices {
		user.Devices = append(user.Devices, d.Name)
	}
	return user, err
}

// Rename gives a user another name.
type Rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func (l *Local) RenameUserWithAccounts(ctx context.Context, ask Rename) (User, error) {
	if _, err := l.RenameUser(ctx, ask.From, ask.To); err != nil {
		return User{}, err
	}
	if err := l.edit(func(f editing.File) error { return f.ChangeUser(ask.From, ask.To) }); err != nil {
		return User{}, fault.Wrap(err, fault.Config, "user "+ask.From+" is "+ask.To+" now, but the config was not changed, and its accounts wait",
			fmt.Sprintf("set user = %q for them in %s", ask.To, l.file().Path))
	}
	l.takeUp(ctx)
	// The accounts have looked for their mail with the former name meanwhile; what that made
	// is empty, and does no harm where it stays.
	_ = l.users.RemoveEmpty(ctx, ask.From)
	l.users.Report(ctx)
	return l.describeUser(ctx, ask.To)
}

// RenameUser stops the accounts of both users meanwhile. Those that the config still
// gives to the old name are held afterwards (see accounts.IsHeld), whichever was
// changed first.
func (l *Local) RenameUser(ctx context.Context, from, to string) (User, error) {
	resumeSending, err := l.sending.Pause(ctx, from, to)
	if err != nil {
		return User{}, err
	}
	defer resumeSending()
	l.accounts.Lock() // no config is taken up meanwhile
	defer l.accounts.Unlock()
	if !l.rounds.TryLock() {
		return User{}, fault.New(fault.Conflict, "a backup, check or repair is under way", "repeat the command when it has ended")
	}
	defer l.rounds.Unlock()
	if err := l.users.MayRename(ctx, from, to); err != nil {
		return User{}, err
	}
	resume := l.accounts.Pause(func(c config.Account) bool { return strings.EqualFold(c.User, from) || strings.EqualFold(c.User, to) })
	l.clients.Disconnect(from, "")
	l.clients.Disconnect(to, "")
	err = l.users.Rename(ctx, from, to)
	resume()
	if err != nil {
		return User{}, err
	}
	l.users.Report(ctx)
	return l.describeUser(ctx, to)
}
