package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// Edit changes a file, which a running agent takes up: change gets its text, nil where
// there is none yet, and returns the new one. That is checked first, and nothing is
// written where it has errors, nor where the file is not one that Load would use. Who
// may read the file, and a link that it is reached by, stay as they are.
func Edit(path string, change func(text []byte) ([]byte, error)) (*Config, error) {
	before, err := readFile(path)
	_, missing := os.Lstat(path)
	isNew := errors.Is(missing, fs.ErrNotExist) && path != ""
	if err != nil && !isNew {
		return nil, err
	}
	if f := ownership.Check(path, ownership.Options{}); f != nil && !isNew {
		return nil, fault.New(fault.Denied, "the config file "+path+" is not changed, because others than this user can change it: "+f.Why, f.RunAs())
	}
	after, err := change(before)
	if err != nil {
		return nil, err
	}
	cfg, err := Parse(path, after)
	if err != nil || !isNew && bytes.Equal(before, after) {
		return cfg, err
	}
	mode, target := fs.FileMode(0o600), path
	var owner fs.FileInfo
	if isNew {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	} else if target, err = filepath.EvalSymlinks(path); err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(target); err == nil {
			mode, owner = info.Mode().Perm(), info
		}
	}
	if err == nil {
		if now, _ := readFile(path); !bytes.Equal(now, before) {
			return nil, fault.New(fault.Conflict, "the config file was changed by another program just now", "run the command again")
		}
		if err = atomicfile.Write(target, mode, after); err == nil && owner != nil {
			err = keepOwner(target, owner)
		}
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Config, "the config file "+path+" cannot be written", "look at the permissions of its folder, and at the space on its disk")
	}
	return cfg, nil
}
