// Package atomicfile writes small files so that after a crash or a power cut
// there is either the old content or the new one, never a mixture, and that
// what was reported as written is on the disk.
//
// On Windows it waits for files that another program has open, such as a virus
// scanner: see Rename.
//
// The order is: write a temporary file beside the target, sync it, rename it
// over the target, sync the directory.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path by data. A file that exists already is
// replaced as a whole, also its permissions. The directory must exist.
func Write(path string, mode fs.FileMode, data []byte) error {
	return WriteFunc(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteFunc is Write for what is too long to be in memory: fill writes it. When
// fill returns an error, the file at path stays as it is.
func WriteFunc(path string, mode fs.FileMode, fill func(io.Writer) error) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	// CreateTemp makes the file readable by its owner only, so that a secret
	// is never open to others, not even for a moment.
	f, err := os.CreateTemp(dir, "."+base+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // a second Close only reports that it is one
			_ = Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err = fill(f); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncFile makes the content of the file at path durable, whoever wrote it.
func SyncFile(path string) error {
	f, err := OpenFile(path, os.O_RDWR, 0) // Windows flushes only what may be written
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
