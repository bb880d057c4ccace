package operations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// A backup is a folder with
//
//	users/NAME   a copy of each user's store, see mailstore.Backup
//	tls          the local certificate authority, that mail clients trust
//	config.toml  the config file as it was; it holds no passwords
const (
	backupUsers  = "users"
	backupTLS    = "tls"
	lanTLS       = "lan" // in it: the authority for the local network, where that was on
	backupConfig = "config.toml"
)

// Backup is the only one at a time, and remembers what it came to, see LastBackup.
func (l *Local) Backup(ctx context.Context, dir string, replace bool, progress func(Progress)) ([]Backup, error) {
	if !l.backups.TryLock() {
		return nil, fault.New(fault.Conflict, "a backup is under way already", "repeat it when that one has ended")
	}
	defer l.backups.Unlock()
	if dir == "" {
		var err error
		if dir, err = l.lastDir(); err != nil {
			return nil, err
		}
	}
	done, err := l.backup(ctx, dir, replace, progress)
	if ctx.Err() == nil {
		l.noteBackup(dir, done, err)
	}
	return done, err
}

// backup writes nothing before the backups of all users were looked at.
func (l *Local) backup(ctx context.Context, dir string, replace bool, progress func(Progress)) ([]Backup, error) {
	if err := checkBackupDir(dir, l.users.DataDir); err != nil {
		return nil, err
	}
	l.rounds.RLock()
	defer l.rounds.RUnlock()
	plan, err := planBackup(ctx, l.users, dir, replace)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, backupUsers), 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Denied, "the backup folder "+dir+" cannot be created", "check that this user may write there")
	}
	if err := copyConfig(l.users.Config().Path, dir); err != nil {
		return nil, err
	}
	if err := copyTLS(filepath.Join(l.users.DataDir, "tls"), filepath.Join(dir, backupTLS)); err != nil {
		return nil, err
	}
	for _, p := range plan {
		if err := p.rename(dir); err != nil {
			return nil, err
		}
	}
	done := []Backup{}
	hashes := []string{hashTLS(filepath.Join(dir, backupTLS))}
	for _, p := range plan {
		b, err := p.run(ctx, dir, userProgress(p.user, "copying", progress))
		if err != nil {
			return nil, err
		}
		done, hashes = append(done, b), append(hashes, b.SHA256)
	}
	// So that Restore knows what no one else has changed.
	l.users.Note(func(f *state.File) {
		for _, hash := range hashes {
			f.NoteBackup(hash)
		}
	})
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
	data, err := atomicfile.ReadFile(path)
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
		if isLAN := e.IsDir() && e.Name() == lanTLS; err == nil && isLAN {
			err = copyTLS(filepath.Join(from, lanTLS), filepath.Join(to, lanTLS))
			continue
		}
		if err != nil || filepath.Ext(e.Name()) != ".pem" {
			continue
		}
		var data []byte
		var info fs.FileInfo
		if info, err = e.Info(); err != nil {
			continue
		}
		if data, err = atomicfile.ReadFile(filepath.Join(from, e.Name())); err == nil {
			err = atomicfile.Write(filepath.Join(to, e.Name()), info.Mode().Perm(), data)
		}
	}
	if err != nil {
		return fault.Wrap(err, fault.Denied, "the certificates cannot be copied to "+to, "check that this user may read "+from+" and write there")
	}
	return nil
}

// hashTLS is a hash over the certificates and keys in a folder.
func hashTLS(dir string) string {
	h := sha256.New()
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() && e.Name() == lanTLS {
			fmt.Fprintf(h, "%s %s\n", lanTLS, hashTLS(filepath.Join(dir, lanTLS)))
			continue
		}
		if filepath.Ext(e.Name()) != ".pem" {
			continue
		}
		var data []byte
		if data, err = atomicfile.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			break
		}
		fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(data), data)
	}
	if err != nil {
		return "" // of none that was written
	}
	return hex.EncodeToString(h.Sum(nil))
}

// restoreTLS brings back the authority that mail clients trust. One that is
// there already, of a first start on a new machine, is put aside.
func restoreTLS(saved, dataDir string) error {
	if _, err := os.Stat(saved); errors.Is(err, fs.ErrNotExist) {
		return nil // a backup without one
	}
	staged, place, aside := filepath.Join(dataDir, "tls.restoring"), filepath.Join(dataDir, "tls"), filepath.Join(dataDir, "tls.before-restore")
	if err := errors.Join(atomicfile.RemoveAll(staged), copyTLS(saved, staged)); err != nil {
		return err
	}
	err := atomicfile.RemoveAll(aside)
	if err == nil {
		if err = atomicfile.Rename(place, aside); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = atomicfile.Rename(staged, place)
	}
	if err != nil {
		return fault.Wrap(err, fault.Denied, "the restored certificates cannot be moved to their place", "rename "+staged+" to "+place+" by hand, and restore again")
	}
	return nil
}
