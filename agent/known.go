package agent

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// book returns what is kept about the stores of a config, outside of them.
func book(cfg *config.Config, o Options) *state.Book {
	dir := o.StateDir
	if dir == "" {
		dir = config.StateDir(cfg.Path)
	}
	return state.Open(dir, cfg.Path)
}

// known returns what is known. That the file is damaged is a condition.
func (a *Agent) known() state.File {
	f, err := a.book.Read()
	if err != nil {
		a.health.Report("state file", health.State(err))
	}
	return f
}

// note changes what is known. Where it cannot be kept mail flows all the same.
func (a *Agent) note(change func(*state.File)) {
	err := a.book.Update(change)
	if err != nil {
		a.health.Report("state", health.State(err))
		return
	}
	a.health.Report("state")
}

// openStore opens the store of a user: the one that the user had before, or a
// new one where none is known.
func (a *Agent) openStore(ctx context.Context, u *user) (*mailstore.Store, error) {
	known := a.known().Users[u.name]
	o := a.storeOptions(u.name)
	o.ID = known.Store
	id := known.Store
	if id == "" { // of another config, or before `user confirm`
		id, _ = mailstore.Identify(ctx, u.dir) // Open tells of an error
	}
	if id != "" {
		o.Lease = a.book.Lease(id, func(dir string) bool { return isElsewhere(ctx, id, dir, u.dir) })
	}
	o.Extend = func(id string, l mailstore.Lease) { a.note(func(f *state.File) { f.Stores[id] = l }) }
	s, err := mailstore.Open(ctx, u.dir, o)
	if errors.Is(err, mailstore.ErrAnother) {
		return nil, missing(a.command, u.dir, map[string]state.User{u.name: known})
	}
	if err != nil {
		return nil, err
	}
	a.note(func(f *state.File) {
		if l := f.Stores[s.ID()]; l.To < s.Generation() {
			f.Stores[s.ID()] = mailstore.Lease{From: s.Generation(), To: s.Generation()}
		}
	})
	a.noteUsed(ctx, u, s)
	return s, nil
}

// isElsewhere reports whether dir has the store of that identity too: a backup was
// restored there, or a copy made, and the two have gone separate ways since.
func isElsewhere(ctx context.Context, id, dir, here string) bool {
	if sameFolder(dir, here) {
		return false
	}
	there, err := mailstore.Identify(ctx, dir)
	return err == nil && there == id
}

// noteUsed notes which store a user has, once there is anything in it: one that
// never had mail is not missed.
func (a *Agent) noteUsed(ctx context.Context, u *user, s *mailstore.Store) {
	if u.noted.Load() {
		return
	}
	usage, err := s.Usage(ctx)
	if err != nil {
		return // a condition of the store
	}
	if usage.Empty() && a.known().Users[u.name].Store != s.ID() {
		return
	}
	u.noted.Store(true)
	a.note(func(f *state.File) {
		k := f.Users[u.name]
		k.Store, k.Dir = s.ID(), u.dir
		f.Users[u.name] = k
	})
}

// reportStore tells of an older copy until a person has confirmed it, and of
// messages whose files are gone until they are back or deleted.
func (a *Agent) reportStore(ctx context.Context, name string, s *mailstore.Store) {
	if s != nil {
		if u, err := s.Usage(ctx); err == nil && u.Missing > 0 {
			a.health.Report("damage of "+name, health.MessagesDamaged(name, u.Missing, a.command("sync"), a.command("check")))
		} else if err == nil {
			a.health.Report("damage of " + name)
		}
	}
	if s != nil && s.PutBack() {
		a.note(func(f *state.File) {
			now := time.Now().UTC().Truncate(time.Second)
			f.Users[name] = state.User{Store: s.ID(), Dir: a.userDir(name), PutBack: &now}
		})
	}
	if k := a.known().Users[name]; k.PutBack != nil {
		a.health.Report("copy of "+name, health.StorePutBack(name, *k.PutBack, a.command("user confirm "+name)))
		return
	}
	a.health.Report("copy of " + name)
}

// reportStores is reportStore for the stores that are open.
func (a *Agent) reportStores(ctx context.Context) {
	a.mu.Lock()
	users := slices.Collect(maps.Values(a.users))
	a.mu.Unlock()
	for _, u := range users {
		u.mu.Lock()
		s := u.store
		u.mu.Unlock()
		if s != nil {
			a.reportStore(ctx, u.name, s)
		}
	}
}

// closed notes how far a store has come that is closed now.
func (a *Agent) closed(s *mailstore.Store) {
	at := s.Generation()
	a.note(func(f *state.File) {
		if l, known := f.Stores[s.ID()]; known && l.To >= at {
			f.Stores[s.ID()] = mailstore.Lease{From: at, To: at}
		}
	})
}

// noteRunning says where the agent of this config is.
func (a *Agent) noteRunning(dataDir string) {
	a.note(func(f *state.File) { f.Runs(dataDir) })
}

// Missing is the error that the data folder of a config is not there although it
// was, nil where there is none.
func Missing(cfg *config.Config, o Options) error {
	f, _ := book(cfg, o).Read() // what is damaged says nothing
	return absent(cfg, f.Users)
}

// absent is the error that no store of this config is where the data folder
// should be, and nil where there is one, or none is known.
func absent(cfg *config.Config, known map[string]state.User) error {
	if len(known) == 0 {
		return nil
	}
	for name := range known {
		if holdsStore(filepath.Join(cfg.DataDir, "users", name)) {
			return nil
		}
	}
	if _, err := os.ReadDir(cfg.DataDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // it cannot be read: opening it will tell
	}
	return missing(func(rest string) string { return config.Command(cfg.Path, rest) }, filepath.Join(cfg.DataDir, "users"), known)
}

// explain says what to do where an error means that the open store of a user is
// no longer in its place.
func (a *Agent) explain(name string, err error) error {
	if !errors.Is(err, mailstore.ErrAnother) {
		return err
	}
	dir := a.userDir(name)
	return missing(a.command, dir, map[string]state.User{name: {Dir: dir}})
}

// missing says where the stores of users should be and where they were last.
func missing(command func(string) string, dir string, users map[string]state.User) error {
	names := slices.Sorted(maps.Keys(users))
	var moved []string
	for _, name := range names {
		was := users[name].Dir
		if was != dir && was != filepath.Join(dir, name) && !slices.Contains(moved, was) {
			moved = append(moved, was)
		}
	}
	text := "the mail of user " + strings.Join(names, ", ") + " is not in " + dir
	hint := "connect its drive, or bring the folder back: popbridge goes on by itself then. "
	if len(moved) > 0 {
		text += "; it was last in " + strings.Join(moved, ", ")
		hint = "move the folder there, or set data_dir back to where it was: popbridge goes on by itself then. "
	}
	hint += "If it is lost and there is a backup: stop popbridge, then `" + command("restore DIR") + "`. "
	return fault.Wrap(mailstore.ErrAnother, fault.Temporary, text, hint+"Only if that mail is gone for good: `"+
		command("user confirm "+strings.Join(names, " "))+"` begins with what is in that place now, or with an empty mailbox")
}

// ConfirmUsers says that the mail folders that are in place are those of these
// users. What was missing is given up; an older copy that was put back is the mail
// from now on. It needs no running agent, and one that runs or waits takes it up by
// itself. givenUp are the users whose missing mail it was about.
func ConfirmUsers(ctx context.Context, cfg *config.Config, o Options, names []string) (givenUp []string, err error) {
	b := book(cfg, o)
	f, err := b.Read()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		k, known := f.Users[name]
		dir := filepath.Join(cfg.DataDir, "users", name)
		switch id, err := mailstore.Identify(ctx, dir); {
		case !known:
			return nil, fault.New(fault.NotFound, "no mail of a user "+fault.Quote(name)+" is known with this config",
				theUsers(slices.Sorted(maps.Keys(f.Users))))
		case k.PutBack != nil:
		case err == nil && id == k.Store:
			return nil, fault.New(fault.Conflict, "there is nothing to confirm: the mail of user "+name+" is where it was, in "+dir, "")
		default:
			givenUp = append(givenUp, name)
		}
	}
	return givenUp, b.Update(func(f *state.File) {
		for _, name := range names {
			k, still := f.Users[name]
			k.PutBack = nil
			if still {
				f.Users[name] = k
			}
			if slices.Contains(givenUp, name) {
				delete(f.Users, name)
			}
		}
	})
}
