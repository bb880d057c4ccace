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

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// A backup is a folder with
//
//	users/NAME   a copy of each user's store, see mailstore.Backup
//	tls          the local certificate authority, that mail clients trust
//	config.toml  the config file as it was; it holds no passwords
const (
	backupUsers  = "users"
	backupTLS    = "tls"
	backupConfig = "config.toml"
)

// Backup implements control.Operations.
func (a *Agent) Backup(ctx context.Context, dir string, progress func(control.Progress)) ([]control.Backup, error) {
	if err := checkBackupDir(dir, a.first.DataDir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, backupUsers), 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "the backup folder "+dir+" cannot be created", "check that this user may write there")
	}
	if err := copyConfig(a.Config().Path, dir); err != nil {
		return nil, err
	}
	if err := copyTLS(filepath.Join(a.first.DataDir, "tls"), filepath.Join(dir, backupTLS)); err != nil {
		return nil, err
	}
	a.rounds.RLock()
	defer a.rounds.RUnlock()
	names, err := a.userNames()
	if err != nil {
		return nil, err
	}
	done := []control.Backup{}
	for _, name := range names {
		store, err := a.store(ctx, name)
		if err != nil {
			return nil, err
		}
		report, err := store.Backup(ctx, filepath.Join(dir, backupUsers, name), mailstore.BackupOptions{Progress: userProgress(name, "copying", progress)})
		if err != nil {
			return nil, err
		}
		done = append(done, control.Backup{User: name, Messages: report.Messages, Files: report.Files, NewFiles: report.NewFiles,
			Bytes: report.Bytes, Missing: problemsOf(name, report.Missing)})
	}
	return done, nil
}

// checkBackupDir refuses a folder inside the data folder: it would go with it.
func checkBackupDir(dir, dataDir string) error {
	if !filepath.IsAbs(dir) {
		return fault.New(fault.Config, "the backup folder "+fault.Quote(dir)+" is not an absolute path", "name the whole path")
	}
	if rel, err := filepath.Rel(realPath(dataDir), realPath(dir)); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fault.New(fault.Config, "the backup folder is inside the data folder "+dataDir, "name one elsewhere, best on another disk")
	}
	return nil
}

// realPath follows the symbolic links of what exists of a path.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(realPath(parent), filepath.Base(path))
}

func copyConfig(path, dir string) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fault.Wrap(err, fault.Config, "the config file cannot be read for the backup", "look at "+path)
	}
	if err := atomicfile.Write(filepath.Join(dir, backupConfig), 0o600, data); err != nil {
		return fault.Wrap(err, fault.Denied, "the config file cannot be copied to "+dir, "check that this user may write there, and that there is space left")
	}
	return nil
}

// copyTLS copies the certificates and keys there are, with their modes. What is
// made last is read first, so that a copy never lacks what belongs to a file
// that it has.
func copyTLS(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // imap.tls is off
	}
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	for _, e := range slices.Backward(entries) { // ca, ca-key, server, server-key
		if err != nil || filepath.Ext(e.Name()) != ".pem" {
			continue
		}
		var data []byte
		var info fs.FileInfo
		if info, err = e.Info(); err != nil {
			continue
		}
		if data, err = os.ReadFile(filepath.Join(from, e.Name())); err == nil {
			err = atomicfile.Write(filepath.Join(to, e.Name()), info.Mode().Perm(), data)
		}
	}
	if err != nil {
		return fault.Wrap(err, fault.Denied, "the certificates cannot be copied to "+to, "check that this user may read "+from+" and write there")
	}
	return nil
}

// restoreTLS brings back the authority that mail clients trust. One that is
// there already, of a first start on a new machine, is put aside.
func restoreTLS(saved, dataDir string) error {
	if _, err := os.Stat(saved); errors.Is(err, fs.ErrNotExist) {
		return nil // a backup without one
	}
	staged, place, aside := filepath.Join(dataDir, "tls.restoring"), filepath.Join(dataDir, "tls"), filepath.Join(dataDir, "tls.before-restore")
	if err := errors.Join(os.RemoveAll(staged), copyTLS(saved, staged)); err != nil {
		return err
	}
	err := os.RemoveAll(aside)
	if err == nil {
		if err = os.Rename(place, aside); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = os.Rename(staged, place)
	}
	if err != nil {
		return fault.Wrap(err, fault.Denied, "the restored certificates cannot be moved to their place", "rename "+staged+" to "+place+" by hand, and restore again")
	}
	return nil
}

// Restore fills the data folder of cfg from a backup. It refuses while another
// process has the folder open, and where the folder has mail already. Until
// all of it is restored nothing of it shows.
func Restore(ctx context.Context, cfg *config.Config, dir string, log zerolog.Logger, progress func(control.Progress)) (done []control.Backup, err error) {
	names, err := usersIn(dir)
	if err != nil {
		return nil, err
	}
	if err := makeDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	l, err := acquire(ctx, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	users := filepath.Join(cfg.DataDir, "users")
	if err := os.Remove(users); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder goes
		return nil, fault.New(fault.Conflict, "the data folder "+cfg.DataDir+" holds mail already", "move "+users+" away first, or name another data_dir in the config")
	}
	staged := filepath.Join(cfg.DataDir, "restoring")
	if err := os.RemoveAll(staged); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "what an interrupted restore left cannot be removed", "remove "+staged+" by hand")
	}
	if err := os.Mkdir(staged, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "the data folder "+cfg.DataDir+" cannot be written", "check that this user may write there")
	}
	for _, name := range names {
		report, err := mailstore.Restore(ctx, filepath.Join(dir, backupUsers, name), filepath.Join(staged, name),
			mailstore.RestoreOptions{Log: log, Progress: userProgress(name, "restoring", progress)})
		if err != nil {
			return nil, fmt.Errorf("restore user %s: %w", name, err)
		}
		done = append(done, control.Backup{User: name, Messages: report.Messages, Files: report.Files, NewFiles: report.Files,
			Bytes: report.Bytes, Missing: problemsOf(name, report.Missing)})
	}
	if err := restoreTLS(filepath.Join(dir, backupTLS), cfg.DataDir); err != nil {
		return nil, err
	}
	if err := os.Rename(staged, users); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "the restored mail cannot be moved to its place", "rename "+staged+" to "+users+" by hand")
	}
	// Whoever restores a backup says that this is the mail from now on.
	err = book(cfg, Options{}).Update(func(f *state.File) {
		for _, name := range names {
			delete(f.Users, name)
		}
	})
	if err != nil {
		log.Warn().Err(err).Msg("state file was left as it was")
	}
	return done, atomicfile.SyncDir(cfg.DataDir)
}

// usersIn returns the users that a backup holds.
func usersIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, backupUsers))
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, fault.Quote(dir)+" is not a backup", "name the folder that `popbridge backup` was given")
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fault.New(fault.Config, "the backup "+fault.Quote(dir)+" is empty", "name the folder that `popbridge backup` was given")
	}
	return names, nil
}
