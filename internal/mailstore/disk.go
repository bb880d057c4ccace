package mailstore

import (
	"io"
	"os"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// disk is what deliveries and purges ask of the file system. It is an interface
// for one other than the real one: that of a test, which forgets at a power cut
// what was not synced.
type disk interface {
	CreateTemp(dir, pattern string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	Sync(path string) error    // the content of a file
	SyncDir(path string) error // the names in a folder
}

// file is a file that is being written.
type file interface {
	io.Writer
	io.ReaderAt
	Name() string
	Sync() error
	Close() error
}

type realDisk struct{}

func (realDisk) CreateTemp(dir, pattern string) (file, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) Remove(path string) error     { return os.Remove(path) }
func (realDisk) Sync(path string) error       { return syncFile(path) }
func (realDisk) SyncDir(path string) error    { return atomicfile.SyncDir(path) }
