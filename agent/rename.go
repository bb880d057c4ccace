package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// RenameUser implements control.Operations. The store goes to another folder as
// it is: UIDs, ledger, identity and devices are those it had. The accounts of
// both users stop meanwhile. Those that the config still gives to the old name
// are held afterwards (see checkUser), whichever was changed first.
func (a *Agent) RenameUser(ctx context.Context, from, to string) (control.User, error) {
	a.reload.Lock()
	defer a.reload.Unlock()
	if !a.rounds.TryLock() {
		return control.User{}, fault.New(fault.Conflict, "a backup, check or repair is under way", "repeat the command when it has ended")
	}
	defer a.rounds.Unlock()
	if err := a.mayRename(ctx, from, to); err != nil {
		return control.User{}, err
	}
	stopped := a.stopAccounts(func(ac *account) bool {
		return strings.EqualFold(ac.cfg.User, from) || strings.EqualFold(ac.cfg.User, to)
	})
	err := a.moveUser(ctx, from, to)
	a.startAccounts(stopped)
	if err != nil {
		return control.User{}, err
	}
	a.health.Report("user " + from)
	a.reportUsers(ctx)
	a.log.Info().Str("user", from).Str("to", to).Msg("user was renamed")
	return a.describeUser(ctx, to)
}

// mayRename refuses what moveUser would refuse, before anything is stopped.
func (a *Agent) mayRename(ctx context.Context, from, to string) error {
	names, err := a.userNames()
	if err != nil {
		return err
	}
	switch {
	case !slices.Contains(names, from):
		return unknownUser(from, names)
	case from == to:
		return fault.New(fault.Config, "both names are "+from, "give the new name second")
	case !config.ValidUser(to):
		return fault.New(fault.Config, fault.Quote(to)+" cannot be the name of a user", "use 1 to 64 letters (a to z), digits and . _ - @ +")
	}
	for _, name := range names {
		if name != from && name != to && strings.EqualFold(name, to) {
			return fault.New(fault.Conflict, fmt.Sprintf("there is a user %s, whose name differs only in case", name), "choose another name")
		}
	}
	if _, err := os.Lstat(a.userDir(from)); err != nil {
		return fault.Wrap(err, fault.NotFound, "user "+from+" has no mail yet", "change user in the config, nothing else is needed")
	}
	if slices.Contains(names, to) && !sameFolder(a.userDir(from), a.userDir(to)) {
		return a.mayReplace(ctx, a.userEntry(to))
	}
	return nil
}

// mayReplace refuses to give the name of a user who has anything to another one.
func (a *Agent) mayReplace(ctx context.Context, u *user) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return a.mayReplaceLocked(ctx, u)
}

func (a *Agent) mayReplaceLocked(ctx context.Context, u *user) error {
	if !holdsStore(u.dir) {
		return nil
	}
	store, err := a.openLocked(ctx, u)
	if err != nil {
		return err
	}
	usage, err := store.Usage(ctx)
	if err != nil {
		return err
	}
	if !usage.Empty() {
		return fault.New(fault.Conflict, fmt.Sprintf("user %s has mail already: %s, and %d that can be undeleted", u.name, fault.Count(usage.Messages, "message"), usage.Expunged),
			"choose another name, or move the messages in a mail program that has both users")
	}
	devices, err := store.Devices(ctx)
	if err == nil && len(devices) > 0 {
		err = fault.New(fault.Conflict, fmt.Sprintf("user %s has no mail, but the device %s", u.name, devices[0].Name),
			"revoke it first, with: "+a.command("device revoke "+devices[0].Name+" --user "+u.name)+"; the devices of the renamed user go on with the passwords they have")
	}
	return err
}

// stopAccounts replaces these accounts by new ones, which are not served yet.
func (a *Agent) stopAccounts(which func(*account) bool) []*account {
	a.mu.Lock()
	var old, fresh []*account
	for name, ac := range a.accounts {
		if which(ac) {
			old = append(old, ac)
			fresh = append(fresh, a.newAccount(ac.cfg))
			a.accounts[name] = fresh[len(fresh)-1]
		}
	}
	a.mu.Unlock()
	for _, ac := range old {
		ac.retire()
	}
	return fresh
}

func (a *Agent) startAccounts(list []*account) {
	a.mu.Lock()
	group := a.serving
	a.mu.Unlock()
	if group == nil {
		return
	}
	for _, ac := range list {
		ac.serve(group)
	}
}

// moveUser gives the folder of a user another name. While it holds both users,
// no one can log in, and no store is opened.
func (a *Agent) moveUser(ctx context.Context, from, to string) error {
	old := a.userEntry(from)
	dest := a.userEntry(to)
	a.disconnect(from, "")
	a.disconnect(to, "")
	if dest != old {
		dest.mu.Lock()
		defer dest.mu.Unlock()
		if err := a.removeEmptyLocked(ctx, dest); err != nil {
			return err
		}
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	if err := a.closeLocked(old); err != nil {
		return err
	}
	place := a.userDir(to)
	if err := atomicfile.Rename(old.dir, place); err != nil {
		return fault.Wrap(err, fault.Denied, "the mail of user "+from+" cannot be moved to "+place, "check that no other program has files in it open, and repeat the command")
	}
	a.note(func(f *state.File) {
		delete(f.Users, to)
		if k, known := f.Users[from]; known {
			k.Dir = place
			f.Users[to] = k
			delete(f.Users, from)
		}
	})
	old.renamed, dest.renamed = true, true
	a.mu.Lock()
	delete(a.users, old.name)
	delete(a.users, dest.name)
	a.mu.Unlock()
	return atomicfile.SyncDir(a.userDir(""))
}

// removeEmptyLocked removes the store of a user who has nothing, if there is one.
func (a *Agent) removeEmptyLocked(ctx context.Context, u *user) error {
	if !holdsStore(u.dir) {
		err := atomicfile.Remove(u.dir) // an empty folder; what is in one that is not is a person's
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(err, fault.Conflict, "the folder "+u.dir+" is there already", "move it away, and repeat the command")
		}
		return nil
	}
	err := a.mayReplaceLocked(ctx, u)
	if err == nil {
		err = a.closeLocked(u)
	}
	if err == nil {
		err = hasMessageFile(u.dir)
	}
	if err != nil {
		return err
	}
	return atomicfile.RemoveAll(u.dir)
}

// hasMessageFile is an error where a store that is empty by its index has files of
// messages all the same.
func hasMessageFile(dir string) error {
	for _, kept := range []string{"mail", "damaged"} {
		err := filepath.WalkDir(filepath.Join(dir, kept), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				err = fault.New(fault.Conflict, "there is a message file, "+path, "move the folder "+dir+" away, and repeat the command")
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
