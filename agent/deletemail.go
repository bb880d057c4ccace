package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/agent/web"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// Holding is the mail of a user that DeleteMail would delete.
type Holding struct {
	User     string
	Messages int
	OnlyHere int // of them, those that no POP server had at the last poll
}

// Holdings returns the mail that DeleteMail would delete. It refuses a data folder in
// which there is anything else.
func (a *Agent) Holdings(ctx context.Context) ([]Holding, error) {
	if err := checkOwn(a.first.DataDir, filepath.Dir(a.first.Path)); err != nil {
		return nil, err
	}
	if pid := state.Open(a.opts.StateDir, a.first.Path).RunningPID(); pid != 0 {
		return nil, fault.New(fault.Conflict, fmt.Sprintf("an agent of this config runs as process %d; nothing was deleted", pid), "stop it first: `popbridge stop`, or Ctrl-C where it runs")
	}
	names, err := a.users.Names()
	if err != nil {
		return nil, err
	}
	var list []Holding
	for _, name := range names {
		h := Holding{User: name}
		store, err := a.users.Store(ctx, name)
		if err == nil {
			h.Messages, h.OnlyHere, err = store.OnlyHere(ctx)
		}
		if err != nil {
			return nil, fault.New(fault.Corrupt, fmt.Sprintf("the messages of user %s cannot be counted: %v; nothing was deleted", name, err),
				"`popbridge check --repair` first; or delete "+a.first.DataDir+" yourself")
		}
		list = append(list, h)
	}
	return list, ctx.Err()
}

// deleting is the folder of the users' mail while it is being deleted: from then on
// there is none.
const deleting = "users.deleting"

// DeleteMail deletes the data folder: mail, logins of mail clients, certificates, log,
// and what is known of them elsewhere. The config stays, also in that folder. It closes
// the agent, which cannot be used any more. What an interruption leaves, another call
// deletes.
func (a *Agent) DeleteMail() (err error) {
	dir := a.first.DataDir
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := checkOwn(dir, filepath.Dir(a.first.Path)); err != nil {
		return err
	}
	if err := a.users.Close(); err != nil {
		return err
	}
	err = a.remove(dir)
	return fault.Wrap(err, fault.Denied, "the mail in "+dir+" was not deleted completely", "close what has files of it open, and run the command again")
}

func (a *Agent) remove(dir string) error {
	moved := filepath.Join(dir, deleting)
	if err := removeAll(moved); err != nil {
		return err
	}
	if err := atomicfile.Rename(users.Folder(dir), moved); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := state.Open(a.opts.StateDir, a.first.Path).Forget(); err != nil {
		return err
	}
	for _, name := range rootNames {
		if name == lockName {
			continue
		}
		if err := removeAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := a.lock.Close(); err != nil {
		return err
	}
	if err := atomicfile.Remove(filepath.Join(dir, lockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 { // the config, as on macOS
		return err
	}
	_ = atomicfile.Remove(dir) // which a mount point does not permit
	return nil
}

const lockName = "agent.lock"

// What popbridge makes: in the data folder, and in the folder of a user.
var (
	rootNames  = []string{"users", deleting, "tls", signin.Folder, noticesFile, lanFile, operations.HistoryFile, operations.BackupFile, web.SessionsFile, "control.sock", "control.path", "popbridge.log", "popbridge.log.old", lockName}
	userFiles  = regexp.MustCompile(`^(index\.db(-wal|-shm|-journal|\.schema-\d+)?|recovery\.log|\.recovery\.log\.\d+\.tmp)$`)
	userDirs   = regexp.MustCompile(`^(search|tmp)$`)
	mailDirs   = regexp.MustCompile(`^[0-9a-f]{2}$`)
	mailFiles  = regexp.MustCompile(`^[0-9a-f]{64}\.eml$`)
	tlsFiles   = regexp.MustCompile(`^(\.)?(ca|ca-key|server|server-key)\.pem(\.\d+\.tmp)?$`)
	tokenFiles = regexp.MustCompile(`^\.?[0-9a-f]{32}\.json(\.\d+\.tmp)?$`)
	anyFiles   = regexp.MustCompile(``)
	noFiles    = regexp.MustCompile(`^\b$`)
)

// checkOwn refuses a data folder that holds anything that popbridge has not made. What
// else is in the folder of the config stays.
func checkOwn(dir, configDir string) error {
	shared := holds(dir, configDir)
	var strange []string
	note := func(path string, own bool) {
		if !own {
			strange = append(strange, path)
		}
	}
	err := each(dir, func(e fs.DirEntry, path string) error {
		name := e.Name()
		switch {
		case !slices.Contains(rootNames, name):
			note(path, shared)
			return nil
		case !e.IsDir():
			note(path, e.Type()&fs.ModeSymlink == 0)
			return nil
		case name == signin.Folder:
			return files(path, tokenFiles, note)
		case name == "tls":
			return each(path, func(e fs.DirEntry, path string) error {
				if e.IsDir() && e.Name() == "lan" {
					return files(path, tlsFiles, note)
				}
				note(path, e.Type().IsRegular() && tlsFiles.MatchString(e.Name()))
				return nil
			})
		}
		return each(path, func(e fs.DirEntry, path string) error { return checkUser(e, path, note) })
	})
	if err != nil {
		return fault.Wrap(err, fault.Denied, "what is in the data folder cannot be read", "check its owner and permissions; nothing was deleted")
	}
	if len(strange) == 0 {
		return nil
	}
	return fault.New(fault.Conflict, fmt.Sprintf("the data folder holds what popbridge has not made, or has moved aside: %s (%s); nothing was deleted", fault.Quote(strange[0]), fault.Count(len(strange), "such file or folder")),
		"move it away, and run the command again")
}

// checkUser looks at the folder of a user.
func checkUser(e fs.DirEntry, path string, note func(path string, own bool)) error {
	if !e.IsDir() {
		note(path, false)
		return nil
	}
	return each(path, func(e fs.DirEntry, path string) error {
		switch {
		case !e.IsDir():
			note(path, e.Type().IsRegular() && userFiles.MatchString(e.Name()))
		case e.Name() == "mail":
			return each(path, func(e fs.DirEntry, path string) error {
				if e.IsDir() && mailDirs.MatchString(e.Name()) {
					return files(path, mailFiles, note)
				}
				note(path, false)
				return nil
			})
		case e.Name() == "damaged": // mail that no index has
			return files(path, noFiles, note)
		case userDirs.MatchString(e.Name()):
			return files(path, anyFiles, note)
		default:
			note(path, false)
		}
		return nil
	})
}

// files notes what is in a folder: files with such names are own ones.
func files(dir string, names *regexp.Regexp, note func(path string, own bool)) error {
	return each(dir, func(e fs.DirEntry, path string) error {
		note(path, e.Type().IsRegular() && names.MatchString(e.Name()))
		return nil
	})
}

// removeAll removes a folder and what was in it a moment ago, or a file. What another
// program puts there meanwhile makes it fail.
func removeAll(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		err = each(path, func(_ fs.DirEntry, path string) error { return removeAll(path) })
	}
	if err != nil {
		return err
	}
	return atomicfile.Remove(path)
}

// each looks at what is in a folder.
func each(dir string, look func(e fs.DirEntry, path string) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, look(e, filepath.Join(dir, e.Name())))
	}
	return err
}

// holds reports whether a folder is the other one, or has it inside.
func holds(dir, other string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	for {
		if at, err := os.Stat(other); err == nil && os.SameFile(info, at) {
			return true
		}
		above := filepath.Dir(other)
		if above == other {
			return false
		}
		other = above
	}
}
