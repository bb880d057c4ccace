package agent

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/internal/password"
	"github.com/popbridge/popbridge/localimap"
)

// errRefused is the same whether the name or the password was wrong.
var errRefused = fault.New(fault.Auth, "user name or password refused", "the password is the one that `popbridge device add` printed")

// login is how the mail clients of this machine get in: any device password of that
// user. A password that was right before is let in at once, others wait for the guard.
func (a *Agent) login(ctx context.Context, _ net.Addr, name, given string) (localimap.Account, error) {
	everyDevice := func(string, mailstore.Device) bool { return true }
	return a.authenticate(ctx, name, given, everyDevice, a.guard, func(hash func() error) error { return a.guard.try(ctx, a.userNamed(name), hash) }, "")
}

// authenticate finds the device with that password, where may permits it; otherwise
// it takes as long and says the same as for a wrong password. try runs what hashes one
// when it is its turn. from is told to people beside what is refused; it may be empty.
func (a *Agent) authenticate(ctx context.Context, name, given string, may func(user string, d mailstore.Device) bool,
	g *guard, try func(hash func() error) error, from string) (localimap.Account, error) {
	who := localimap.Account{User: a.userNamed(name)}
	var err error
	who.Store, err = a.users.Store(ctx, who.User)
	known := !fault.Is(err, fault.Config)
	if known && err != nil {
		return localimap.Account{}, err
	}
	barred := false
	if known {
		who.Device, err = who.Store.Recognize(ctx, given)
		if barred = err == nil && !may(who.User, who.Device); err == nil && !barred {
			g.admit(who.User)
			return who, nil
		}
		if err != nil && !fault.Is(err, fault.Auth) {
			return localimap.Account{}, err
		}
	}
	err = try(func() error {
		if !known || barred {
			password.Refuse(given)
			return errRefused
		}
		var err error
		if who.Device, err = who.Store.Authenticate(ctx, given); err == nil && !may(who.User, who.Device) {
			err = errRefused
		}
		return err
	})
	switch {
	case fault.Is(err, fault.Auth):
		if known {
			g.refuse(who.User, name, who.User, from)
		} else {
			g.refuse("", name, a.meant(name), from)
		}
		return localimap.Account{}, errRefused
	case err != nil:
		return localimap.Account{}, err
	}
	g.admit(who.User)
	return who, nil
}

// userNamed returns the user whom a mail client means: the name itself in any
// case, or the user of the accounts with that address where it is only one. A
// name that is no one's is returned as it is.
func (a *Agent) userNamed(name string) string {
	if slices.Contains(a.Config().Users(), name) {
		return name
	}
	names, _ := a.users.Names() // where the folder cannot be read, they are those of the config
	if slices.Contains(names, name) {
		return name
	}
	var found []string
	for _, user := range names {
		if strings.EqualFold(user, name) {
			found = append(found, user)
		}
	}
	for _, ac := range a.Config().Accounts {
		if strings.EqualFold(ac.Username, name) && !slices.Contains(found, ac.User) {
			found = append(found, ac.User)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return name
}

// meant returns the user whom a name that is no one's is probably for, or "".
func (a *Agent) meant(name string) string {
	names, _ := a.users.Names() // where the folder cannot be read, they are those of the config
	if len(names) == 1 {
		return names[0]
	}
	local, _, _ := strings.Cut(name, "@")
	return cmp.Or(config.Nearest(name, names), config.Nearest(local, names))
}

// refused tells people of refused logins: in the log, summed up, and as a
// condition until it is over.
func (a *Agent) refused(r refusals) {
	if r.log > 0 {
		a.log.Warn().Str("user", r.name).Int("count", r.log).Msg("login refused")
	}
	source := "logins of user " + r.user
	if r.user == "" {
		source = "logins of unknown users"
	}
	if r.n == 0 {
		a.health.Report(source)
		return
	}
	last := r.last.In(a.zone.Load()).Format("2 Jan at 15:04")
	if r.user == "" {
		names, _ := a.users.Names() // only for the hint
		a.health.Report(source, health.UnknownLogin(r.name, r.n, last, users.Hint(names)))
		return
	}
	a.health.Report(source, health.LoginRefused(r.user, r.n, last, a.users.Command("device add NAME --user "+r.user)))
}
