package users

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Known returns what is known. That the file is damaged is a condition.
func (s *Stores) Known() state.File {
	f, err := s.Book.Read()
	if err != nil {
		s.Health.Report("state file", health.State(err))
	}
	return f
}

// Note changes what is known. Where it cannot be kept mail flows all the same.
func (s *Stores) Note(change func(*state.File)) {
	err := s.Book.Update(change)
	if err != nil {
		s.Health.Report("state", health.State(err))
		return
	}
	s.Health.Report("state")
}

// openStore opens the store of a user: the one that the user had before, or a
// new one where none is known.
func (s *Stores) openStore(ctx context.Context, u *user) (*mailstore.Store, error) {
	known := s.Known().Users[u.name]
	o := s.storeOptions(u.name)
	o.ID = known.Store
	id := known.Store
	if id == "" { // of another config, or before `user confirm`
		id, _ = mailstore.Identify(ctx, u.dir) // Open tells of an error
	}
	if id != "" {
		o.Lease = s.Book.Lease(id, func(dir string) bool { return isElsewhere(ctx, id, dir, u.dir) })
	}
	o.Extend = func(id string, l mailstore.Lease) { s.Note(func(f *state.File) { f.Stores[id] = l }) }
	store, err := mailstore.Open(ctx, u.dir, o)
	if errors.Is(err, mailstore.ErrAnother) {
		return nil, missing(s.Command, u.dir, map[string]state.User{u.name: known})
	}
	if err != nil {
		return nil, err
	}
	s.Note(func(f *state.File) {
		if l := f.Stores[store.ID()]; l.To < store.Generation() {
			f.Stores[store.ID()] = mailstore.Lease{From: store.Generation(), To: store.Generation()}
		}
	})
	s.noteUsed(ctx, u, store)
	return store, nil
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
func (s *Stores) noteUsed(ctx context.Context, u *user, store *mailstore.Store) {
	if u.noted.Load() {
		return
	}
	usage, err := store.Usage(ctx)
	if err != nil {
		return // a condition of the store
	}
	if usage.Empty() && s.Known().Users[u.name].Store != store.ID() {
		return
	}
	u.noted.Store(true)
	s.Note(func(f *state.File) {
		k := f.Users[u.name]
		k.Store, k.Dir = store.ID(), u.dir
		f.Users[u.name] = k
	})
}

// closed notes how far a store has come that is closed now.
func (s *Stores) closed(store *mailstore.Store) {
	at := store.Generation()
	s.Note(func(f *state.File) {
		if l, known := f.Stores[store.ID()]; known && l.To >= at {
			f.Stores[store.ID()] = mailstore.Lease{From: at, To: at}
		}
	})
}

// Missing is the error that no store of a config is where the data folder should be,
// and nil where there is one, or none is known.
func Missing(cfg *config.Config, stateDir string) error {
	f, _ := state.Open(stateDir, cfg.Path).Read() // what is damaged says nothing
	if len(f.Users) == 0 {
		return nil
	}
	for name := range f.Users {
		if HoldsStore(filepath.Join(Folder(cfg.DataDir), name)) {
			return nil
		}
	}
	if _, err := os.ReadDir(cfg.DataDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // it cannot be read: opening it will tell
	}
	return missing(func(rest string) string { return config.Command(cfg.Path, rest) }, Folder(cfg.DataDir), f.Users)
}

// Explain says what to do where an error means that the open store of a user is
// no longer in its place.
func (s *Stores) Explain(name string, err error) error {
	if !errors.Is(err, mailstore.ErrAnother) {
		return err
	}
	dir := s.Dir(name)
	return missing(s.Command, dir, map[string]state.User{name: {Dir: dir}})
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

// Confirm says that the mail folders that are in place are those of these
// users. What was missing is given up; an older copy that was put back is the mail
// from now on. It needs no running agent, and one that runs or waits takes it up by
// itself. givenUp are the users whose missing mail it was about.
func Confirm(ctx context.Context, cfg *config.Config, stateDir string, names []string) (givenUp []string, err error) {
	b := state.Open(stateDir, cfg.Path)
	f, err := b.Read()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		k, known := f.Users[name]
		dir := filepath.Join(Folder(cfg.DataDir), name)
		switch id, err := mailstore.Identify(ctx, dir); {
		case !known:
			return nil, fault.New(fault.NotFound, "no mail of a user "+fault.Quote(name)+" is known with this config",
				Hint(slices.Sorted(maps.Keys(f.Users))))
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
