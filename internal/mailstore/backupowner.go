package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/contents"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// CheckBackup refuses what Backup would refuse, and writes nothing.
func (s *Store) CheckBackup(ctx context.Context, dir string, o BackupOptions) error {
	if err := checkFolders(dir, CheckOwn); err != nil {
		return err
	}
	m, err := ReadBackup(dir)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && !o.Replace {
		err = s.mayReplace(ctx, dir, m)
	}
	if fault.Is(err, fault.Corrupt) && o.Replace {
		return nil
	}
	return err
}

// mayReplace refuses a backup over that of another store, of a later state of
// this one, and of one that had more than twice the messages, those included
// that can be undeleted: what mail clients delete shows there first.
func (s *Store) mayReplace(ctx context.Context, dir string, m BackupInfo) error {
	have, err := s.Usage(ctx)
	if err != nil {
		return err
	}
	same := m.Store == s.ID()
	if m.Store == "" {
		if same, err = s.fits(ctx, filepath.Join(dir, m.Index)); err != nil {
			return err
		}
	}
	why := ""
	switch {
	case !same:
		why = "is of another mail store"
	case m.Generation > s.Generation():
		why = "is of a later state of this mail store"
	case 2*(have.Messages+have.Expunged) < m.Messages:
		why = fmt.Sprintf("has far more mail than this store, which has %s", fault.Count(have.Messages, "message"))
	default:
		return nil
	}
	of := ""
	if m.User != "" {
		of = "of user " + fault.Quote(m.User) + ", "
	}
	return fault.New(fault.Conflict, fmt.Sprintf("the backup in %s %s: %s%s, taken %s", dir, why, of, fault.Count(m.Messages, "message"), m.TakenAt.Local().Format("2006-01-02 15:04")),
		"choose another folder for this backup; where that one is not needed any more, repeat the command with --replace")
}

// fits tells whether an index without an identity is an earlier one of this
// store: its INBOX was made at the same second, and has got no UID that this
// store has not given.
func (s *Store) fits(ctx context.Context, index string) (bool, error) {
	var r reader
	if err := checkIndex(ctx, index); err != nil {
		return false, err
	}
	if err := r.open(index); err != nil {
		return false, err
	}
	var then Mailbox
	err := r.get(ctx, `SELECT uidvalidity, uidnext FROM mailbox WHERE name = ?`, []any{inbox}, &then.UIDValidity, &then.UIDNext)
	if err = errors.Join(err, r.close()); err != nil {
		return false, err
	}
	now, err := s.Mailbox(ctx, inbox)
	return then.UIDValidity == now.UIDValidity && then.UIDNext <= now.UIDNext, err
}

// checkFolders refuses folders of a backup that are not what a backup has made:
// whoever prepared them could have the mail written elsewhere. What is not there
// is fine.
func checkFolders(dir string, check func(dir string, names ...string) error) error {
	names := []string{"", "mail", manifestName}
	for i := range 256 {
		names = append(names, contents.Folder(byte(i)))
	}
	indexes, err := atomicfile.Match(dir, indexPattern)
	if err != nil {
		return err
	}
	for _, path := range indexes {
		names = append(names, filepath.Base(path))
	}
	return check(dir, names...)
}

// CheckOwn refuses what CheckPlace refuses, and folders and files of a backup
// that belong to another user or can be changed by others: what is written
// there would be theirs.
func CheckOwn(dir string, names ...string) error {
	if err := CheckPlace(dir, names...); err != nil {
		return err
	}
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	if f := ownership.Private(dir, paths...); f != nil {
		return strangePlace(f.Why, f.Hint+"; or choose another folder for the backup")
	}
	return nil
}

// CheckPlace refuses symbolic links and special files in a backup, which could
// lead elsewhere. names are below dir; what is not there is fine.
func CheckPlace(dir string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.IsDir() && !info.Mode().IsRegular():
			return strangePlace(path+" is a link or a special file", "remove it, or choose another folder for the backup")
		}
	}
	return nil
}

func strangePlace(why, hint string) error {
	return fault.New(fault.Denied, "the backup folder is not safe: "+why, hint)
}
