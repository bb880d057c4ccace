package agent

import (
	"context"
	"strings"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// Users implements control.Operations.
func (a *Agent) Users(ctx context.Context) ([]control.User, error) {
	names, err := a.users.Names()
	if err != nil {
		return nil, err
	}
	list := []control.User{}
	for _, name := range names {
		u, err := a.describeUser(ctx, name)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			u.Error, u.Hint = err.Error(), fault.Hint(err)
		}
		list = append(list, u)
	}
	return list, nil
}

func (a *Agent) describeUser(ctx context.Context, name string) (control.User, error) {
	user := control.User{Name: name, Accounts: []string{}, Devices: []string{}}
	for _, c := range a.Config().Accounts {
		if c.User == name {
			user.Accounts = append(user.Accounts, c.Name)
		}
	}
	store, err := a.users.Store(ctx, name)
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

// RenameUser implements control.Operations. The store goes to another folder as
// it is: UIDs, ledger, identity and devices are those it had. The accounts of
// both users stop meanwhile. Those that the config still gives to the old name
// are held afterwards (see checkUser), whichever was changed first.
func (a *Agent) RenameUser(ctx context.Context, from, to string) (control.User, error) {
	a.accounts.Lock() // no config is taken up meanwhile
	defer a.accounts.Unlock()
	if !a.rounds.TryLock() {
		return control.User{}, fault.New(fault.Conflict, "a backup, check or repair is under way", "repeat the command when it has ended")
	}
	defer a.rounds.Unlock()
	if err := a.users.MayRename(ctx, from, to); err != nil {
		return control.User{}, err
	}
	resume := a.accounts.Pause(func(c config.Account) bool { return strings.EqualFold(c.User, from) || strings.EqualFold(c.User, to) })
	a.disconnect(from, "")
	a.disconnect(to, "")
	err := a.users.Rename(ctx, from, to)
	resume()
	if err != nil {
		return control.User{}, err
	}
	a.users.Report(ctx)
	a.log.Info().Str("user", from).Str("to", to).Msg("user was renamed")
	return a.describeUser(ctx, to)
}
