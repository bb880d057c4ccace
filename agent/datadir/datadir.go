// Package datadir makes the data folder, for its user only, and locks it: one process
// has it open.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// create creates the data folder for this user only, and refuses one that
// belongs to another user or that others can change. Nothing is made or changed
// before that is known. Others may read a folder that exists, if its owner lets
// them; what is made inside is 0700 and 0600.
func create(dir string) error {
	if err := Check(dir); err != nil {
		return err
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		return Check(dir) // in a folder like /tmp another user may have been faster
	}
	return unusable(err, "the data folder "+dir+" cannot be created", "check data_dir in the config, and that this user may write there")
}

// Check refuses a data folder that belongs to another user, or that
// others can change: a command that root runs in a user's folder would leave
// files there that the user's agent cannot read. It changes nothing. What is in
// the folders of the users, their stores look at.
func Check(dir string) error {
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

// unusable is an error of the data folder. A disk that is full, read-only or not
// there, and permissions that are missing for a moment, may be put right while
// an agent waits; what is no folder at all is a mistake.
func unusable(err error, text, hint string) error {
	switch {
	case isFull(err):
		return fault.Wrap(err, fault.Full, text, "free some space on the disk of the data folder; popbridge goes on by itself")
	case isNotDir(err):
		return fault.Wrap(err, fault.Config, text, hint)
	}
	return fault.Wrap(err, fault.Temporary, text, hint)
}

// isFull reports whether there is no space left.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// isNotDir reports whether a part of a path is no folder.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
