package contents

import (
	"io"
	"os"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// Disk is what batches and purges ask of the file system. It is an interface
// for one other than the real one: that of a test, which forgets at a power cut
// what was not synced.
type Disk interface {
	CreateTemp(dir, pattern string) (File, error)
	Rename(from, to string) error
	Link(from, to string) error // a second name; fails where to is there
	Remove(path string) error
	Sync(path string) error    // the content of a file
	SyncDir(path string) error // the names in a folder
}

// File is a file that is being written.
type File interface {
	io.Writer
	io.ReaderAt
	Name() string
	Sync() error
	Close() error
}

type systemDisk struct{}

func (systemDisk) CreateTemp(dir, pattern string) (File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (systemDisk) Rename(from, to string) error { return atomicfile.Rename(from, to) }
func (systemDisk) Remove(path string) error     { return atomicfile.Remove(path) }
func (systemDisk) Sync(path string) error       { return atomicfile.SyncFile(path) }
func (systemDisk) SyncDir(path string) error    { return atomicfile.SyncDir(path) }
