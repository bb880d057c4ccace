package users

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// Names returns the users whose mail is served, checked and backed up: those
// of the config, and those whose mail is on the disk though the config names
// them no longer. With an error they are those of the config.
func (s *Stores) Names() ([]string, error) {
	users := s.Config().Users()
	stored, _, err := storedUsers(s.DataDir)
	return append(users, s.without(stored, users)...), err
}

// without returns the stored users that are not among these users of the config.
func (s *Stores) without(stored, users []string) (list []string) {
	for _, name := range stored {
		same := func(user string) bool {
			return user == name || strings.EqualFold(user, name) && sameFolder(s.Dir(user), s.Dir(name))
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
	dir := Folder(dataDir)
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
		case !link && config.ValidUser(name) && HoldsStore(filepath.Join(dir, name)):
			names = append(names, name)
		case link || name[0] != '.' || HoldsStore(filepath.Join(dir, name)): // hidden folders are the system's
			odd = append(odd, name)
		}
	}
	return names, odd, nil
}

// HoldsStore reports whether there is anything of a mail store in a folder.
func HoldsStore(dir string) bool {
	return slices.ContainsFunc([]string{"index.db", "recovery.log", "mail"}, func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	})
}

// Stored returns the users whose mail is in a data folder, those without a
// message left out. It opens no store, so an agent may be running.
func Stored(dataDir string) ([]string, error) {
	names, _, err := storedUsers(dataDir)
	return slices.DeleteFunc(names, func(name string) bool { return !holdsMail(filepath.Join(Folder(dataDir), name, "mail")) }), err
}

// holdsMail reports whether there is a message file, as far as can be told.
func holdsMail(dir string) bool {
	folders, err := os.ReadDir(dir)
	return err != nil || slices.ContainsFunc(folders, func(e fs.DirEntry) bool {
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		return err != nil || len(files) > 0
	})
}

// Odd returns the folders and links beside the stores that are neither served nor
// backed up.
func (s *Stores) Odd() []string {
	_, odd, _ := storedUsers(s.DataDir) // Names tells of an error
	users := s.Config().Users()
	return slices.DeleteFunc(odd, func(name string) bool { return slices.Contains(users, name) })
}

// Folder is where the folders of the users are.
func Folder(dataDir string) string { return filepath.Join(dataDir, "users") }

// Dir is the folder of a user.
func (s *Stores) Dir(name string) string { return filepath.Join(Folder(s.DataDir), name) }
