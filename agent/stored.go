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
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *Agent) userDir(name string) string { return filepath.Join(a.first.DataDir, "users", name) }

// userNames returns the users whose mail is served, checked and backed up: those
// of the config, and those whose mail is on the disk though the config names
// them no longer. With an error they are those of the config.
func (a *Agent) userNames() ([]string, error) {
	users := a.Config().Users()
	stored, _, err := storedUsers(a.first.DataDir)
	return append(users, a.without(stored, users)...), err
}

// without returns the stored users that are not among these users of the config.
func (a *Agent) without(stored, users []string) (list []string) {
	for _, name := range stored {
		same := func(user string) bool {
			return user == name || strings.EqualFold(user, name) && sameFolder(a.userDir(user), a.userDir(name))
		}
		if !slices.ContainsFunc(users, same) {
			list = append(list, name)
		}
	}
	return list
}

// sameFolder reports whether two paths name one folder, as names do that differ
// in case on file systems that ignore it.
func sameFolder(one, other string) bool {
	x, errX := os.Stat(one)
	y, errY := os.Stat(other)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// storedUsers returns the users whose mail is in the data folder, and the folders
// and links beside them that are not taken for one.
func storedUsers(dataDir string) (names, odd []string, err error) {
	dir := filepath.Join(dataDir, "users")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Denied, "the folder of the users' mail cannot be read", "check owner and permissions of "+dir)
	}
	for _, e := range entries {
		name := e.Name()
		link := e.Type()&fs.ModeSymlink != 0
		switch {
		case !link && !e.IsDir() || name == "lost+found":
		case !link && config.ValidUser(name) && holdsStore(filepath.Join(dir, name)):
			names = append(names, name)
		case link || name[0] != '.' || holdsStore(filepath.Join(dir, name)): // hidden folders are the system's
			odd = append(odd, name)
		}
	}
	return names, odd, nil
}

// holdsStore reports whether there is anything of a mail store in a folder.
func holdsStore(dir string) bool {
	return slices.ContainsFunc([]string{"index.db", "recovery.log", "mail"}, func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	})
}

// StoredUsers returns the users whose mail is in a data folder, those without a
// message left out. It opens no store, so an agent may be running.
func StoredUsers(dataDir string) ([]string, error) {
	names, _, err := storedUsers(dataDir)
	return slices.DeleteFunc(names, func(name string) bool { return !holdsMail(filepath.Join(dataDir, "users", name, "mail")) }), err
}

// holdsMail reports whether there is a message file, as far as can be told.
func holdsMail(dir string) bool {
	folders, err := os.ReadDir(dir)
	return err != nil || slices.ContainsFunc(folders, func(e fs.DirEntry) bool {
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		return err != nil || len(files) > 0
	})
}

// oddFolders are the problems that Check finds beside the stores.
func (a *Agent) oddFolders() (list []control.Problem) {
	_, odd, _ := storedUsers(a.first.DataDir) // who calls has read it without an error
	for _, name := range odd {
		if !slices.Contains(a.Config().Users(), name) {
			list = append(list, control.Problem{User: name, Code: "no-store",
				Text: fmt.Sprintf("%s is not a mail store with the name of a user: it is neither served nor backed up", a.userDir(name))})
		}
	}
	return list
}

// reportUsers makes a condition of each user whose mail has no account.
func (a *Agent) reportUsers(ctx context.Context) {
	users := a.Config().Users()
	stored, _, err := storedUsers(a.first.DataDir)
	if err != nil {
		return // a condition of every store
	}
	var list []health.Condition
	for _, name := range a.without(stored, users) {
		store, err := a.store(ctx, name)
		if err != nil {
			continue // a condition of this user
		}
		u, err := store.Usage(ctx)
		if err == nil && u.Messages > 0 {
			list = append(list, health.UserWithoutAccount(name, u.Messages, a.renamedHint(ctx, name, users)))
		}
	}
	if ctx.Err() == nil {
		a.health.Report("users", list...)
	}
}

// renamedHint names the command for what it looks like: a user of the config
// without mail, while another one lost the accounts.
func (a *Agent) renamedHint(ctx context.Context, name string, users []string) string {
	for _, user := range users {
		if store, err := a.store(ctx, user); err == nil {
			if u, err := store.Usage(ctx); err == nil && u.Empty() {
				return fmt.Sprintf("user %s of the config has no mail yet; if that is the same person, set user = %q for the accounts, or call %s that: `%s`",
					user, name, name, a.command("user rename "+name+" "+user))
			}
		}
	}
	return "if the user has another name now: `" + a.command("user rename "+name+" NEW") + "`"
}

// Users implements control.Operations.
func (a *Agent) Users(ctx context.Context) ([]control.User, error) {
	names, err := a.userNames()
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
	store, err := a.store(ctx, name)
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
