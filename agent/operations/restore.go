package operations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// RestoreOptions are what Restore may be given.
type RestoreOptions struct {
	Log      zerolog.Logger
	Progress func(Progress) // may be nil
	// Devices brings back what lets mail clients in, and what they trust, from a
	// backup that is not known to be as it was written here: the logins, and the
	// certificates with their keys. Who could change the backup could have put them
	// there.
	Devices  bool
	StateDir string // empty: config.StateDir
}

// Restore fills the data folder of cfg from a backup. It refuses while another
// process has the folder open, and where the folder has mail already. Until
// all of it is restored nothing of it shows. The config in the backup is never
// read.
func Restore(ctx context.Context, cfg *config.Config, dir string, o RestoreOptions) (done []Backup, err error) {
	names, err := usersIn(dir)
	if err != nil {
		return nil, err
	}
	lock, err := datadir.Open(ctx, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	place := users.Folder(cfg.DataDir)
	if err := checkVacant(ctx, cfg, o.Log); err != nil {
		return nil, err
	}
	staged := filepath.Join(cfg.DataDir, "restoring")
	if err := atomicfile.RemoveAll(staged); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "what an interrupted restore left cannot be removed", "remove "+staged+" by hand")
	}
	if err := os.Mkdir(staged, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "the data folder "+cfg.DataDir+" cannot be written", "check that this user may write there")
	}
	known := state.Open(o.StateDir, cfg.Path)
	own := func(hash string) bool { return o.Devices || hash != "" && known.Wrote(hash) }
	for _, name := range names {
		report, err := mailstore.Restore(ctx, filepath.Join(dir, backupUsers, name), filepath.Join(staged, name),
			mailstore.RestoreOptions{Log: o.Log, Devices: own, Progress: userProgress(name, "restoring", o.Progress)})
		if err != nil {
			return nil, fmt.Errorf("restore user %s: %w", name, err)
		}
		done = append(done, Backup{name, report, problemsOf(name, report.Missing)})
	}
	if own(hashTLS(filepath.Join(dir, backupTLS))) {
		if err := restoreTLS(filepath.Join(dir, backupTLS), cfg.DataDir); err != nil {
			return nil, err
		}
	}
	err = atomicfile.RemoveAll(place) // without mail or device, see checkVacant
	if err == nil {
		err = atomicfile.Rename(staged, place)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Denied, "the restored mail cannot be moved to its place", "rename "+staged+" to "+place+" by hand")
	}
	// Whoever restores a backup says that this is the mail from now on.
	err = known.Update(func(f *state.File) {
		for _, name := range names {
			delete(f.Users, name)
		}
	})
	if err != nil {
		o.Log.Warn().Err(err).Msg("state file was left as it was")
	}
	return done, atomicfile.SyncDir(cfg.DataDir)
}

// checkVacant refuses a data folder in which a user has anything that a restore
// would replace. A store without mail or device is nothing: a start has made it.
func checkVacant(ctx context.Context, cfg *config.Config, log zerolog.Logger) error {
	place := users.Folder(cfg.DataDir)
	taken := fault.New(fault.Conflict, "the data folder "+cfg.DataDir+" holds mail already", "move "+place+" away first, or name another data_dir in the config")
	entries, err := os.ReadDir(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		dir := filepath.Join(place, e.Name())
		if !e.IsDir() || !users.HoldsStore(dir) || users.HasMessageFile(dir) != nil {
			return taken
		}
		store, err := mailstore.Open(ctx, dir, mailstore.Options{Log: log, KeepExpunged: cfg.KeepExpunged})
		if err != nil {
			return taken
		}
		usage, err := store.Usage(ctx)
		devices, deviceErr := store.Devices(ctx)
		switch err = errors.Join(err, deviceErr, store.Close()); {
		case err != nil:
			return err
		case !usage.Empty():
			return taken
		case len(devices) > 0:
			name := devices[0].Name
			return fault.New(fault.Conflict, fmt.Sprintf("user %s has no mail here, but the device %s, which a restore would take away", e.Name(), name),
				"revoke it, restore, and add it again: "+config.Command(cfg.Path, "device revoke "+name+" --user "+e.Name()))
		}
	}
	if err != nil {
		return err
	}
	// A mount point could be emptied, and not be replaced.
	aside := place + ".restoring"
	if err := atomicfile.Rename(place, aside); err != nil {
		return fault.Wrap(err, fault.Denied, "the folder "+place+" cannot be replaced", "check that this user may rename it, and that it is no mount point")
	}
	return atomicfile.Rename(aside, place)
}

// usersIn returns the users that a backup holds. Of two that are the same store,
// as after a rename, it is the one that was taken last.
func usersIn(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, backupUsers)); err != nil {
		return nil, fault.Wrap(err, fault.Config, fault.Quote(dir)+" is not a backup", "name the folder that `popbridge backup` was given")
	}
	if err := checkBackupFolders(dir, mailstore.CheckPlace); err != nil {
		return nil, err
	}
	saved, err := savedUsers(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, backupUsers))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() || !config.ValidUser(e.Name()) {
			continue
		}
		this := saved[e.Name()]
		newer := slices.ContainsFunc(entries, func(other fs.DirEntry) bool {
			info := saved[other.Name()]
			return this.Store != "" && info.Store == this.Store && info.TakenAt.After(this.TakenAt)
		})
		if !newer {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fault.New(fault.Config, "the backup "+fault.Quote(dir)+" is empty", "name the folder that `popbridge backup` was given")
	}
	return names, nil
}
