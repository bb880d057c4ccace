package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// makeDataDir creates the data folder for this user only, and refuses one that
// belongs to another user or that others can change. Nothing is made or changed
// before that is known. Others may read a folder that exists, if its owner lets
// them; what is made inside is 0700 and 0600.
func makeDataDir(dir string) error {
	if err := CheckDataDir(dir); err != nil {
		return err
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		return CheckDataDir(dir) // in a folder like /tmp another user may have been faster
	}
	text, hint := "the data folder "+dir+" cannot be created", "check data_dir in the config, and that this user may write there"
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(err, fault.Denied, text, hint)
	}
	return fault.Wrap(err, fault.Config, text, hint)
}

// CheckDataDir refuses a data folder that belongs to another user, or that
// others can change: a command that root runs in a user's folder would leave
// files there that the user's agent cannot read. It changes nothing. What is in
// the folders of the users, their stores look at.
func CheckDataDir(dir string) error {
	refuse := func(f *ownership.Finding) error {
		return fault.New(fault.Denied, fmt.Sprintf("the data folder %s is not used: %s", dir, f.Why), f.RunAs())
	}
	if info, err := os.Stat(dir); err == nil { // it may be a symbolic link itself
		if f := ownership.Home(dir, info); f != nil {
			return refuse(f)
		}
	}
	if f := ownership.Check(dir, ownership.Options{}); f != nil {
		return refuse(f)
	}
	var inside []string
	for _, name := range []string{"agent.lock", "control.sock", "control.path", "users", "tls", "restoring", "popbridge.log"} {
		inside = append(inside, filepath.Join(dir, name))
	}
	if f := ownership.Private(dir, inside...); f != nil {
		return refuse(f)
	}
	return nil
}
