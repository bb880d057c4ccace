package config

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// Edit changes a file, which a running agent takes up: change gets its text, nil where
// there is none yet, and returns the new one. That is checked first, and nothing is
// written where it has errors, nor where the file is not one that Load would use. Who
// may read the file, and a link that it is reached by, stay as they are. The file as it
// was is kept beside it, with .bak behind its name.
//
// Errors of the file as it is come as *Errors with its lines; those of the new text
// without a File, by their keys alone, as it was never written.
func Edit(path string, change func(text []byte) ([]byte, error)) (*Config, error) {
	d, err := newDraft(path, change)
	if err != nil || !d.isNew && bytes.Equal(d.before, d.after) {
		return d.cfg, err
	}
	if d.isNew {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		defer waitForEdits(filepath.Dir(d.target))()
		if now, _ := readFile(path); !bytes.Equal(now, d.before) {
			return nil, fault.New(fault.Conflict, "the config file was changed by another program just now", "run the command again")
		}
		if !d.isNew {
			err = d.write(d.target+BackupSuffix, d.before)
		}
		if err == nil {
			err = d.write(d.target, d.after)
		}
	}
	if err != nil {
		return nil, unwritable(path, err)
	}
	return d.cfg, nil
}

// BackupSuffix is behind the name of the file that Edit keeps.
const BackupSuffix = ".bak"

// write replaces a file, for those who may read the config.
func (d *draft) write(path string, text []byte) error {
	err := atomicfile.Write(path, d.mode, text)
	if err == nil && d.owner != nil {
		err = keepOwner(path, d.owner)
	}
	return err
}

// editPatience is how long other edits are waited for. They take moments; whoever holds
// the lock for longer, or a disk without locks, stops nobody.
const editPatience = 3 * time.Second

// waitForEdits waits for edits of configs in a folder by other processes, so that none
// is written over what another one is about to write. The function lets the next go on.
func waitForEdits(dir string) (done func()) {
	lock := editLock(dir)
	ctx, cancel := context.WithTimeout(context.Background(), editPatience)
	defer cancel()
	_, _ = lock.TryLockContext(ctx, 5*time.Millisecond) // see editPatience
	return func() { _ = lock.Close() }
}

// Plan is Edit that writes nothing: the config as it would be, or why Edit would fail.
func Plan(path string, change func(text []byte) ([]byte, error)) (*Config, error) {
	d, err := newDraft(path, change)
	if err == nil {
		err = tryFolder(filepath.Dir(d.target))
	}
	if err != nil {
		return nil, err
	}
	return d.cfg, nil
}

// draft is a changed file before it is written.
type draft struct {
	before, after []byte
	cfg           *Config
	isNew         bool
	target        string // the file itself, where path is a link
	mode          fs.FileMode
	owner         fs.FileInfo // nil for a new file
}

func newDraft(path string, change func(text []byte) ([]byte, error)) (d draft, err error) {
	_, missing := os.Lstat(path)
	d = draft{isNew: path != "" && errors.Is(missing, fs.ErrNotExist), target: path, mode: 0o600}
	if f := ownership.Check(path, ownership.Options{}); f != nil && path != "" {
		return d, fault.New(fault.Denied, "the config file "+path+" is not changed, because others than this user can change it: "+f.Why, f.RunAs())
	}
	if !d.isNew {
		if d.before, err = readFile(path); err != nil {
			return d, err
		}
		if _, err := Parse(path, d.before); err != nil {
			return d, err
		}
		if d.target, err = filepath.EvalSymlinks(path); err == nil {
			d.owner, err = os.Stat(d.target)
		}
		if err != nil {
			return d, unwritable(path, err)
		}
		d.mode = d.owner.Mode().Perm()
	}
	if d.after, err = change(d.before); err != nil {
		return d, err
	}
	d.cfg, err = Parse(path, d.after)
	return d, unwritten(err)
}

// unwritten makes errors of a text that was not written name keys, and no lines.
func unwritten(err error) error {
	found, ok := errors.AsType[*Errors](err)
	if !ok {
		return err
	}
	all := &Errors{}
	for _, p := range found.Problems {
		_, key, inside := strings.Cut(p.Key, "].")
		if inside && strings.HasPrefix(p.Key, "account[") {
			p.Key = key
		}
		p.Line = 0
		all.Problems = append(all.Problems, p)
	}
	return all
}

func unwritable(path string, err error) error {
	return fault.Wrap(err, fault.Config, "the config file "+path+" cannot be written", "look at the permissions of its folder, and at the space on its disk")
}

// tryFolder reports why no file can be written into a folder, or into the one in which it
// would be made, and leaves nothing there.
func tryFolder(dir string) error {
	for {
		f, err := os.CreateTemp(dir, ".popbridge.*.tmp")
		if err == nil {
			err = errors.Join(f.Close(), atomicfile.Remove(f.Name()))
		} else if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
			dir = up
			continue
		}
		if err != nil {
			return fault.Wrap(err, fault.Config, "nothing can be written into the folder of the config, "+dir, "look at its permissions, and at the space on its disk; or name another config with --config FILE")
		}
		return nil
	}
}
