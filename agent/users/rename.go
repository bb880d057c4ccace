package users

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// MayRename refuses what Rename would refuse, before anything is stopped.
func (s *Stores) MayRename(ctx context.Context, from, to string) error {
	names, err := s.Names()
	if err != nil {
		return err
	}
	switch {
	case !slices.Contains(names, from):
		return unknown(from, names)
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
	if _, err := os.Lstat(s.Dir(from)); err != nil {
		return fault.Wrap(err, fault.NotFound, "user "+from+" has no mail yet", "change user in the config, nothing else is needed")
	}
	if slices.Contains(names, to) && !sameFolder(s.Dir(from), s.Dir(to)) {
		u := s.userEntry(to)
		u.mu.Lock()
		defer u.mu.Unlock()
		return s.mayReplaceLocked(ctx, u)
	}
	return nil
}

// mayReplaceLocked refuses to give the name of a user who has anything to another one.
func (s *Stores) mayReplaceLocked(ctx context.Context, u *user) error {
	if !HoldsStore(u.dir) {
		return nil
	}
	store, err := s.openLocked(ctx, u)
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
			"revoke it first, with: "+s.Command("device revoke "+devices[0].Name+" --user "+u.name)+"; the devices of the renamed user go on with the passwords they have")
	}
	return err
}

// Rename gives the folder of a user another name, after MayRename: UIDs, ledger,
// identity and devices are those it had. No account of either user is polled. While it
// holds both users, no one can log in, and no store is opened.
func (s *Stores) Rename(ctx context.Context, from, to string) error {
	old := s.userEntry(from)
	dest := s.userEntry(to)
	if dest != old {
		dest.mu.Lock()
		defer dest.mu.Unlock()
		if err := s.removeEmptyLocked(ctx, dest); err != nil {
			return err
		}
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	if err := s.closeLocked(old); err != nil {
		return err
	}
	place := s.Dir(to)
	if err := atomicfile.Rename(old.dir, place); err != nil {
		return fault.Wrap(err, fault.Denied, "the mail of user "+from+" cannot be moved to "+place, "check that no other program has files in it open, and repeat the command")
	}
	s.Note(func(f *state.File) {
		delete(f.Users, to)
		if k, known := f.Users[from]; known {
			k.Dir = place
			f.Users[to] = k
			delete(f.Users, from)
		}
	})
	old.renamed, dest.renamed = true, true
	s.mu.Lock()
	delete(s.users, old.name)
	delete(s.users, dest.name)
	s.mu.Unlock()
	s.Health.Report("user " + from)
	s.log.Info().Str("user", from).Str("to", to).Msg("user was renamed")
	return atomicfile.SyncDir(s.Dir(""))
}

// RemoveEmpty removes the store of a user who has nothing in it, and whom the config names
// no longer.
func (s *Stores) RemoveEmpty(ctx context.Context, name string) error {
	if slices.Contains(s.Config().Users(), name) {
		return nil
	}
	u := s.userEntry(name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := s.removeEmptyLocked(ctx, u); err != nil {
		return err
	}
	s.Note(func(f *state.File) { delete(f.Users, name) })
	u.renamed = true
	s.mu.Lock()
	delete(s.users, u.name)
	s.mu.Unlock()
	s.Health.Report("user " + name)
	return nil
}

// removeEmptyLocked removes the store of a user who has nothing, if there is one.
func (s *Stores) removeEmptyLocked(ctx context.Context, u *user) error {
	if !HoldsStore(u.dir) {
		err := atomicfile.Remove(u.dir) // an empty folder; what is in one that is not is a person's
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(err, fault.Conflict, "the folder "+u.dir+" is there already", "move it away, and repeat the command")
		}
		return nil
	}
	err := s.mayReplaceLocked(ctx, u)
	if err == nil {
		err = s.closeLocked(u)
	}
	if err == nil {
		err = HasMessageFile(u.dir)
	}
	if err != nil {
		return err
	}
	return atomicfile.RemoveAll(u.dir)
}

// HasMessageFile is an error where a store that is empty by its index has files of
// messages all the same.
func HasMessageFile(dir string) error {
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
