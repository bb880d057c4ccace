//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/popbridge/popbridge/internal/fault"
)

// seenBy is a config as another user sees it.
type seenBy struct {
	File    string    `json:"file"`
	DataDir string    `json:"data_dir"`
	Errors  []finding `json:"errors"` // outside of the config
}

// checkAs checks the config as the user that the service will run as: with that
// user's rights, home folder and, where none is named, config. The service would
// fail by what is wrong there, and it is the user's own program that says so.
func (a *app) checkAs(ctx context.Context, name, configPath string) (seenBy, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return seenBy{}, fault.Wrap(err, fault.Config, "the service would run as user "+fault.Quote(name)+", of whom nothing is known", "the service of the whole system runs as the user who calls sudo, doas or pkexec")
	}
	self, err := os.Executable()
	if err != nil {
		return seenBy{}, fault.Wrap(err, fault.Internal, "the path of this program is not known", "")
	}
	args := []string{"check-config", "--json"}
	if configPath != "" {
		args = append(args, "--config", configPath)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = a.direct
	cmd.Env = environmentOf(u)
	if cmd.SysProcAttr, err = rightsOf(u); err != nil {
		return seenBy{}, err
	}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitUsage {
		return seenBy{}, shown(exitUsage)
	} else if errors.Is(err, fs.ErrPermission) {
		return seenBy{}, fault.Wrap(err, fault.Config, "user "+name+", as whom the service would run, cannot execute "+self, "put the program where every user can execute it, such as /usr/local/bin")
	} else if !ok && err != nil {
		return seenBy{}, fault.Wrap(err, fault.Internal, "the config cannot be checked as user "+name, "")
	}
	var seen seenBy
	if jsonErr := json.Unmarshal(out, &seen); jsonErr != nil || err != nil && len(seen.Errors) == 0 {
		return seenBy{}, shown(exitFailed) // it could not load the config, and has said why
	}
	return seen, nil // what is wrong outside of the config does not matter here
}

// handOver gives the account of the service what root has written for it: its password,
// and to read the config where that is new.
func (a *app) handOver(configPath, passwordFile string, isNew bool) error {
	name := a.serviceAccount()
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fault.Wrap(err, fault.Config, "the service runs as user "+fault.Quote(name)+", of whom nothing is known", "install the package again")
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	err = errors.Join(uidErr, gidErr)
	if err == nil && passwordFile != "" {
		err = os.Chown(passwordFile, uid, gid)
	}
	if err == nil && isNew {
		err = errors.Join(os.Chmod(filepath.Dir(configPath), 0o755), os.Chown(configPath, 0, gid), os.Chmod(configPath, 0o640))
	}
	return fault.Wrap(err, fault.Config, "user "+name+", as whom the service runs, cannot be given its files", "give them by hand: chown "+name+" FILE")
}

// rightsOf makes a process one of that user.
func rightsOf(u *user.User) (*syscall.SysProcAttr, error) {
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the groups of user "+u.Username+" are not known", "")
	}
	number := func(s string) uint32 {
		n, _ := strconv.ParseUint(s, 10, 32) // on these systems they are numbers
		return uint32(n)
	}
	c := &syscall.Credential{Uid: number(u.Uid), Gid: number(u.Gid)}
	for _, id := range ids {
		c.Groups = append(c.Groups, number(id))
	}
	return &syscall.SysProcAttr{Credential: c}, nil
}

// environmentOf is the environment of this process with a user's own names, and
// without what sudo and the like say of themselves.
func environmentOf(u *user.User) []string {
	env := []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "SUDO_") || slices.Contains([]string{"HOME", "USER", "LOGNAME", "DOAS_USER", "PKEXEC_UID"}, name) {
			continue
		}
		env = append(env, v)
	}
	return env
}
