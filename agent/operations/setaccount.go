package operations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
)

// SettableKeys are the keys of an account that a page may change. None of them names a
// file or a program, or says where the password is sent: for that see SetLogin.
var SettableKeys = []string{"poll_every", "keep_on_server", "quota", "delete_on_server", "delete_grace", "confirm_deletes",
	"shadow", "folder", "max_message_size", "paused", "address", "addresses"}

func (l *Local) AccountDetails(_ context.Context, ask AccountName) (answer AccountDetails, err error) {
	account, _, err := l.file().Account(ask.Account)
	if err != nil {
		return answer, err
	}
	answer = details(account)
	if cfg, err := l.file().Writable(); err == nil && len(account.Password.Command) == 0 {
		answer.TokenProvider = oauth.ProviderOf(account.Host)
		answer.OAuth = clientOf(cfg, answer.TokenProvider)
	}
	cfg := l.users.Config()
	answer.Sending.Off = len(cfg.SMTP.Listen) == 0
	for _, address := range account.Addresses {
		if by, ok := cfg.Sender(account.User, address); ok && by.Name != account.Name {
			answer.Sending.Shared = append(answer.Sending.Shared, SharedAddress{address, by.Name})
		}
	}
	return answer, nil
}

func details(c config.Account) AccountDetails {
	d := AccountDetails{Account: c.Name, User: c.User, Password: "file", SignsIn: c.OAuth != nil, Settings: map[string]string{
		"poll_every": lasts(c.PollEvery), "keep_on_server": c.Keep.String(), "quota": "", "delete_on_server": "", "delete_grace": lasts(c.DeleteGrace),
		"confirm_deletes": strconv.FormatBool(c.ConfirmDeletes), "shadow": strconv.FormatBool(c.Shadow), "folder": c.Folder,
		"max_message_size": size(c.MaxMessageSize), "paused": strconv.FormatBool(c.Paused),
	}}
	d.Server = MailServer{Host: c.Host, Port: c.Port, TLS: string(c.TLS), Username: c.Username}
	if c.Quota > 0 {
		d.Settings["quota"] = size(c.Quota)
	}
	if c.DeleteExpunged {
		d.Settings["delete_on_server"] = "when expunged"
	}
	d.Settings["address"], d.Settings["addresses"] = addresses(c)
	d.Sending = sends(c)
	if c.SignsInToFetch() {
		d.Password = "signin"
	} else if len(c.Password.Command) > 0 {
		d.Password = "command"
	} else if c.Password.InKeychain() {
		d.Password = "keychain"
	}
	known, _ := discover.AdviceFor(c.Username, c.Host)
	d.Advice = advice(known)
	return d
}

// lasts writes a duration as the config has it.
func lasts(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return editing.Duration(d)
}

// size writes a number of bytes as the config has it.
func size(n int64) string {
	unit := 0
	for ; n%1000 == 0 && n > 0 && unit < 4; unit++ {
		n /= 1000
	}
	return strconv.FormatInt(n, 10) + []string{"B", "KB", "MB", "GB", "TB"}[unit]
}

// settings are those of a question, in the order of the keys, and what is wrong with them
// before the config is looked at.
func settings(ask map[string]string) (list []config.Setting, wrong []Wrong, err error) {
	wrong = []Wrong{}
	for _, key := range slices.Sorted(maps.Keys(ask)) {
		if !slices.Contains(SettableKeys, key) {
			return nil, wrong, fault.New(fault.Denied, "the page does not change "+fault.Quote(key)+" of an account", "`popbridge account set` does")
		}
		s, err := config.ParseSetting(key + "=" + ask[key])
		if err != nil {
			wrong = append(wrong, Wrong{key, err.Error(), fault.Hint(err)})
			continue
		}
		list = append(list, s)
	}
	if list == nil && len(wrong) == 0 {
		err = fault.New(fault.Config, "nothing is said that could be changed", "change a value first")
	}
	return list, wrong, err
}

func (l *Local) PlanAccount(ctx context.Context, ask SetAccount) (answer PlannedAccount, err error) {
	list, found, err := settings(ask.Settings)
	if answer.Wrong = found; err != nil || len(found) > 0 {
		return answer, err
	}
	before, after, err := l.file().PlanChange(ask.Account, list)
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 || sameDeletions(before, after) {
		return answer, err
	}
	p, err := l.plan(ctx, before.Name, after)
	if err != nil {
		return answer, err
	}
	answer.Preview = &p
	return answer, ctx.Err()
}

// plan is what the next polls of an account would do after a change.
func (l *Local) plan(ctx context.Context, account string, after config.Account) (p Preview, err error) {
	chosen, err := l.accounts.Choose([]string{account})
	if err != nil {
		return p, err
	}
	p, err = l.preview(ctx, chosen[0], after)
	p.Error, p.Hint = said(err)
	p.Kind = kindOf(err)
	return p, nil
}

// seen returns an error where a change would delete on the server, without waiting for
// Confirm, what nobody has seen in the plan with this digest.
func (l *Local) seen(ctx context.Context, before, after config.Account, digest string) error {
	if sameDeletions(before, after) || !deletes(after) || after.ConfirmDeletes {
		return nil
	}
	p, err := l.plan(ctx, before.Name, after)
	switch {
	case err != nil:
		return err
	case p.Error != "":
		return fault.New(fault.Temporary, "what would be deleted on the server cannot be looked at, so nothing was saved: "+p.Error,
			"save it once the server answers, or let deletions wait until you have allowed them")
	case len(p.Delete) > 0 && !p.NeedsConfirm && p.Digest != digest:
		return fault.New(fault.Conflict, "what would be deleted has changed since you looked, so nothing was saved", "save it again, and look at what it would be now")
	}
	return nil
}

// deletes reports whether an account may delete anything on its server.
func deletes(c config.Account) bool {
	return !c.Shadow && (c.Keep.Rule != config.KeepForever || c.DeleteExpunged)
}

// sameDeletions reports whether both delete the same on the server.
func sameDeletions(a, b config.Account) bool {
	return a.Keep == b.Keep && a.Quota == b.Quota && a.DeleteExpunged == b.DeleteExpunged && a.DeleteGrace == b.DeleteGrace &&
		a.Shadow == b.Shadow && a.ConfirmDeletes == b.ConfirmDeletes
}

func (l *Local) SetAccount(ctx context.Context, ask SetAccount) (answer PlannedAccount, err error) {
	list, found, err := settings(ask.Settings)
	if answer.Wrong = found; err != nil || len(found) > 0 {
		return answer, err
	}
	before, after, err := l.file().PlanChange(ask.Account, list)
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		return answer, err
	}
	if err := l.seen(ctx, before, after, ask.Seen); err != nil {
		return answer, err
	}
	err = l.edit(func(f editing.File) error {
		if now, _, err := f.Account(before.Name); err != nil || !sameDeletions(now, before) {
			return cmp.Or(err, fault.New(fault.Conflict, "account "+before.Name+" was changed meanwhile, so nothing was saved", "load the page again, and look at it"))
		}
		_, _, err := f.Change(before.Name, list)
		return err
	})
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		return answer, err
	}
	l.takeUp(ctx)
	return answer, nil
}

func (l *Local) SetLogin(ctx context.Context, ask SetLogin) (answer Tried, err error) {
	s := ask.Server
	answer = Tried{Wrong: wrongPassword(ask.Password), Username: s.Username, Advice: advice(discover.Advice{}), Probe: Probe{Warnings: []string{}}}
	if len(answer.Wrong) > 0 {
		return answer, nil
	}
	before, _, err := l.file().Account(ask.Account)
	if err == nil {
		err = l.file().Replaceable(before)
	}
	if err != nil {
		return answer, err
	}
	was := MailServer{Host: before.Host, Port: before.Port, TLS: string(before.TLS), Username: before.Username}
	list := changedLogin(was, s)
	_, after, err := l.file().PlanChange(before.Name, list)
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		return answer, err
	}
	known, _ := discover.AdviceFor(after.Username, after.Host)
	answer.Advice = advice(known)
	if answer.Probe = Try(ctx, after, ask.Password); answer.Error != "" {
		return answer, ctx.Err()
	}
	if err := l.edit(func(f editing.File) error {
		if err := still(f, before); err != nil {
			return err
		}
		if len(list) > 0 { // before the password, which the server of before must not be sent
			if _, _, err := f.Change(before.Name, list); err != nil {
				return err
			}
		}
		_, err := f.Replace(ctx, after, ask.Password)
		if err != nil && len(list) > 0 { // nor the new server the password of before
			_, _, undone := f.Change(before.Name, changedLogin(s, was))
			err = errors.Join(err, undone)
		}
		return err
	}); err != nil {
		return answer, err
	}
	l.takeUp(ctx)
	return answer, nil
}

// still reports that an account is not any more as it was when a password was tried for it.
func still(f editing.File, before config.Account) error {
	if now, _, err := f.Account(before.Name); err != nil || !now.Equal(before) {
		return fault.New(fault.Conflict, "account "+before.Name+" was changed or removed while the password was tried, so nothing was saved", "look at it, and enter the password again")
	}
	return nil
}

// changedLogin are the settings that make one server the other.
func changedLogin(from, to MailServer) (list []config.Setting) {
	add := func(changed bool, s config.Setting) {
		if changed {
			list = append(list, s)
		}
	}
	add(to.Host != from.Host, config.Text("host", to.Host))
	add(to.Port != from.Port, config.Setting{Key: "port", Value: strconv.Itoa(to.Port)})
	add(to.TLS != from.TLS, config.Text("tls", to.TLS))
	add(to.Username != from.Username, config.Text("username", to.Username))
	return list
}

func (l *Local) RemoveAccount(ctx context.Context, ask AccountName) (answer AccountDetails, err error) {
	var removed config.Account
	if err := l.edit(func(f editing.File) (err error) {
		removed, err = f.Remove(ask.Account)
		return err
	}); err != nil {
		return answer, err
	}
	l.takeUp(ctx)
	return details(removed), nil
}
