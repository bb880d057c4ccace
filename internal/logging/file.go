package logging

import (
	"os"
	"path/filepath"
	"sync"
)

// maxFile is the size in bytes at which a new log file is begun; one old one is kept.
const maxFile = 10 << 20

// File is a log file that is renamed to NAME.old when it is long, also while it is
// written. It is an io.Writer for several goroutines.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
}

// Open opens a log file, and makes its folder, for this user only.
func Open(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f := &File{path: path}
	return f, f.open()
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.file, f.size = file, 0
	if info, err := file.Stat(); err == nil {
		f.size = info.Size()
	}
	return nil
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.size > maxFile {
		f.rotate()
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	return n, err
}

// rotate begins a new file. Where that fails, a long log is better than none.
func (f *File) rotate() {
	_ = f.file.Close()
	f.file = nil
	_ = os.Rename(f.path, f.path+".old")
	if f.open() == nil && f.size > maxFile { // it could not be renamed; not tried again soon
		f.size = 0
	}
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
