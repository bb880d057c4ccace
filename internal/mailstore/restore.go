package mailstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
)

// RestoreOptions are what Restore may be given.
type RestoreOptions struct {
	Log      zerolog.Logger
	Progress func(done, total int) // called for each message file; may be nil
	// Devices says whether the logins of mail clients come back, by the hash of
	// the index (see BackupReport.SHA256). Who could change the backup could have
	// added one. nil: never.
	Devices func(sha256 string) bool
}

// Restore makes the store in dir from the backup in backupDir. dir must be empty
// or absent, else fault.Conflict; it is there as a whole or not at all. Every
// file is copied and compared with its hash. UIDs and UIDVALIDITY are those of
// the backup; UIDNEXT is raised by a million at least, so that no UID is given again that
// a client may have seen after the backup was taken (see skipUIDs).
func Restore(ctx context.Context, backupDir, dir string, o RestoreOptions) (BackupReport, error) {
	report, err := restore(ctx, backupDir, dir, o)
	return report, failure(err, "restore the mail store")
}

func restore(ctx context.Context, backupDir, dir string, o RestoreOptions) (report BackupReport, err error) {
	if err := checkFolders(backupDir, CheckPlace); err != nil {
		return report, err
	}
	m, err := ReadBackup(backupDir)
	if err != nil {
		return report, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return report, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, err
	}
	if len(entries) > 0 {
		return report, fault.New(fault.Conflict, "there is mail in "+fault.Quote(dir)+" already",
			"stop the agent, rename that folder, and repeat the command")
	}
	// Beside its place, so that a half restored store is never taken for one.
	stage := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".restoring")
	if err := atomicfile.RemoveAll(stage); err != nil {
		return report, err
	}
	s, err := prepare(stage, Options{Log: o.Log})
	if err != nil {
		return report, err
	}
	if err := s.files.Make("tmp"); err != nil {
		return report, err
	}
	c := copier{from: &contents.Files{Dir: backupDir}, to: &s.files, progress: o.Progress, needed: true}
	letIn := o.Devices != nil && o.Devices(m.SHA256)
	devices, err := s.fill(ctx, filepath.Join(backupDir, m.Index), m, &c, letIn)
	report = BackupReport{Messages: m.Messages, Files: c.fresh, NewFiles: c.fresh, Bytes: c.bytes, Missing: c.problems, Devices: devices, LetIn: letIn}
	if err == nil {
		report.Held, err = s.heldByRestore(ctx)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return report, err
	}
	if err := errors.Join(atomicfile.SyncDir(stage), atomicfile.SyncDir(filepath.Join(stage, "mail"))); err != nil {
		return report, err
	}
	if err := atomicfile.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, err
	}
	if err := atomicfile.Rename(stage, dir); err != nil {
		return report, err
	}
	return report, atomicfile.SyncDir(filepath.Dir(dir))
}

// fill copies index and files of a backup into the folder of the store. It
// returns the devices that the index has, which stay only if they are wanted.
func (s *Store) fill(ctx context.Context, index string, m BackupInfo, c *copier, devices bool) ([]string, error) {
	if err := s.takeIndex(ctx, index, m, c); err != nil {
		return nil, err
	}
	if err := s.reader.get(ctx, `SELECT count(*) FROM content`, nil, &c.total); err != nil {
		return nil, err
	}
	if err := c.run(ctx, &s.reader); err != nil {
		return nil, err
	}
	found, err := s.Devices(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Name)
	}
	return names, s.write(ctx, "raise the numbers of the restored store", func(t *tx) error {
		if err := t.exec(`UPDATE content SET missing = 0`); err != nil {
			return err
		}
		for _, h := range c.lost {
			if err := t.missing(h); err != nil {
				return err
			}
		}
		if !devices {
			if err := t.exec(`DELETE FROM device`); err != nil {
				return err
			}
		}
		if err := t.hold(); err != nil {
			return err
		}
		return t.skipUIDs(0)
	})
}

// takeIndex copies the index of a backup and opens it.
func (s *Store) takeIndex(ctx context.Context, index string, m BackupInfo, c *copier) error {
	path := filepath.Join(s.dir, "index.db")
	err := atomicfile.WriteFunc(path, 0o600, func(w io.Writer) error {
		f, err := atomicfile.Open(index)
		if err != nil {
			return err
		}
		defer f.Close() // it was only read
		c.bytes, err = io.Copy(w, contents.NewSource(ctx, f))
		return err
	})
	if err != nil {
		return err
	}
	if same, err := m.sameIndex(ctx, path); err != nil || !same {
		return errors.Join(err, fault.New(fault.Corrupt, "the index in the backup is damaged", "use another backup"))
	}
	if err := checkIndex(ctx, path); err != nil {
		return err
	}
	if err := s.writer.open(ctx, path); err != nil {
		return err
	}
	if err := s.migrate(ctx, nil); err != nil { // of an earlier version
		return err
	}
	return s.reader.open(path)
}
