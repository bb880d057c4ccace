package mailstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// checkOwner refuses a store of which the folders, the index or the recovery
// log belong to another user, can be changed by others, or are symbolic links.
// It is a quick look; Check looks at each message file.
func (s *Store) checkOwner() error {
	paths := []string{s.dir}
	for _, name := range []string{"mail", "tmp", "damaged", "search", filepath.Base(s.logPath())} {
		paths = append(paths, filepath.Join(s.dir, name))
	}
	for _, end := range indexFiles {
		path := s.indexPath() + end
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !ownership.Foreign(info) {
			if err := os.Chmod(path, 0o600); err != nil { // SQLite goes by the umask where it made it
				return err
			}
		}
		paths = append(paths, path)
	}
	if f := ownership.Private(s.dir, paths...); f != nil {
		return fault.New(fault.Temporary, "the mail store is not used: "+f.Why, f.Hint)
	}
	return nil
}

// denied is what a person needs to know about a file that may not be opened:
// it is unreadable for this user, not damaged.
func denied(err error) error {
	text, hint := "the mail store cannot be read or written", "check owner and permissions of the data folder"
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		path, dir := p.Path, storeOf(p.Path)
		for ; path != dir; path = filepath.Dir(path) { // a folder above may be what others own
			if info, statErr := os.Lstat(path); statErr == nil && ownership.Foreign(info) {
				return fault.Wrap(err, fault.Temporary, "a file of the mail store may not be opened: "+path+" belongs to "+ownership.Owner(info), "run: "+ownership.Chown(dir))
			}
		}
		text, hint = "a file of the mail store may not be opened by this user", "check owner and permissions of "+dir
	}
	return fault.Wrap(err, fault.Temporary, text, hint)
}

// storeOf is the folder of the user that a file belongs to.
func storeOf(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, "index.db")); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// foreign counts the message files and folders that belong to another user.
type foreign struct {
	count       int
	path, owner string // of the first
}

// see notes a file of another user.
func (f *foreign) see(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !ownership.Foreign(info) {
		return false
	}
	if f.count++; f.count == 1 {
		f.path, f.owner = path, ownership.Owner(info)
	}
	return true
}

// foreignOwner is the problem of files that belong to another user. They are not
// damaged, whether this user can read them or not.
func (s *Store) foreignOwner(f foreign) []Problem {
	if f.count == 0 {
		return nil
	}
	return []Problem{{"foreign-owner", fmt.Sprintf("files that belong to another user: %d, the first is %s of %s; nothing is wrong with them; run: %s",
		f.count, f.path, f.owner, ownership.Chown(s.dir))}}
}
