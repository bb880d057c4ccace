package contents

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// Hash is the SHA-256 of a message. It names the file.
type Hash [32]byte

// String returns the hash in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

func parseHash(s string) (h Hash, ok bool) {
	n, err := hex.Decode(h[:], []byte(s[:min(len(s), 2*len(h))]))
	return h, err == nil && n == len(h) && h.String() == s
}

// HashFile returns the hash of the file at path. It ends with the context.
func HashFile(ctx context.Context, path string) (h Hash, err error) {
	f, err := atomicfile.Open(path)
	if err != nil {
		return h, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, NewSource(ctx, f))
	sum.Sum(h[:0])
	return h, errors.Join(err, f.Close())
}

// Files are the message files below a folder. The exported fields are set before
// the first use. The methods may be called from several goroutines.
type Files struct {
	Dir string
	Log zerolog.Logger
	// Known reports whether a file is needed: its removal is refused then. It must
	// not use Files. Only a Files that is written to needs it.
	Known func(Hash) (bool, error)
	// Step, where it is not nil, is called before each step that a crash or a full
	// disk can stop, by several goroutines, and may make it fail.
	Step func(step string) error
	Disk Disk // nil: that of the system

	mu         sync.Mutex
	inUse      map[Hash]int           // how many batches rely on a file being there
	anchors    []File                 // open, empty
	work       sync.WaitGroup         // behind batches that have ended
	unreadable atomic.Pointer[string] // the last file that this user may not open
}

func (f *Files) step(name string) error {
	if f.Step == nil {
		return nil
	}
	return f.Step(name)
}

func (f *Files) disk() Disk {
	if f.Disk == nil {
		return systemDisk{}
	}
	return f.Disk
}

// Folder returns where the files are whose hashes begin with an octet: mail/2a.
func Folder(first byte) string { return filepath.Join("mail", fmt.Sprintf("%02x", first)) }

// Path returns where the file of a message is, whether or not it is there.
func (f *Files) Path(h Hash) string { return filepath.Join(f.Dir, Folder(h[0]), h.String()+".eml") }

func (f *Files) tmp() string { return filepath.Join(f.Dir, "tmp") }

// Make makes the folder with those for messages and further ones, and makes their
// names durable, so that no batch has to.
func (f *Files) Make(further ...string) error {
	made := map[string]bool{} // folders that got a new name in them
	names := append([]string{"", "mail"}, further...)
	for i := range 256 {
		names = append(names, Folder(byte(i)))
	}
	for _, name := range names {
		if err := mkdir(filepath.Join(f.Dir, name), made); err != nil {
			return err
		}
	}
	for dir := range made {
		if err := atomicfile.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func mkdir(dir string, made map[string]bool) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := mkdir(filepath.Dir(dir), made); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		made[filepath.Dir(dir)] = true
	}
	return err
}

// List returns the hashes of the files in one of the 256 folders. Other files in it
// are none of ours.
func (f *Files) List(first byte) (map[Hash]bool, error) {
	entries, err := os.ReadDir(filepath.Join(f.Dir, Folder(first)))
	if err != nil {
		return nil, err
	}
	found := map[Hash]bool{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".eml")
		h, valid := parseHash(name)
		if ok && valid && h[0] == first && !e.IsDir() {
			found[h] = true
		}
	}
	return found, nil
}

// Any reports whether there is any message file.
func (f *Files) Any() (bool, error) {
	if _, err := os.Stat(filepath.Join(f.Dir, "mail")); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for i := range 256 {
		if found, err := f.List(byte(i)); err != nil || len(found) > 0 {
			return len(found) > 0, err
		}
	}
	return false, nil
}

// Open opens a message file for reading; fs.ErrNotExist when it is missing.
func (f *Files) Open(h Hash) (*os.File, error) {
	file, err := atomicfile.Open(f.Path(h))
	f.noteUnreadable(h, err)
	return file, err
}

// Read reads a message file into buf, of which it fills no more, and returns how
// many octets there are; the errors are those of Open.
func (f *Files) Read(h Hash, buf []byte) (int, error) {
	n, err := readFile(f.Path(h), buf)
	f.noteUnreadable(h, err)
	return n, err
}

func (f *Files) noteUnreadable(h Hash, err error) {
	if errors.Is(err, fs.ErrPermission) {
		path := f.Path(h)
		f.unreadable.Store(&path)
	}
}

// Unreadable reports whether there was a message file that this user could not
// open, and Probe has not found it open since.
func (f *Files) Unreadable() bool { return f.unreadable.Load() != nil }

// Probe tells whether files can be written, and whether the one that could not be
// opened last can be now. It writes and syncs a small file.
func (f *Files) Probe() error {
	if err := f.step("probe"); err != nil {
		return err
	}
	file, err := os.CreateTemp(f.tmp(), probePattern)
	if err != nil {
		return err
	}
	_, err = file.WriteString("probe")
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err = errors.Join(err, atomicfile.Remove(file.Name())); err != nil {
		return err
	}
	return f.tryUnreadable()
}

func (f *Files) tryUnreadable() error {
	path := f.unreadable.Load()
	if path == nil {
		return nil
	}
	file, err := atomicfile.Open(*path)
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err == nil {
		_ = file.Close() // nothing was read
	}
	f.unreadable.CompareAndSwap(path, nil)
	return nil
}

// SetAside moves a file or folder into the folder for damaged ones, durably, and
// returns that. It never replaces one that is there.
func (f *Files) SetAside(path string) (string, error) {
	dir, made := filepath.Join(f.Dir, "damaged"), map[string]bool{}
	if err := mkdir(dir, made); err != nil {
		return dir, err
	}
	name := filepath.Join(dir, filepath.Base(path))
	for n := 2; ; n++ {
		_, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return dir, err
		}
		name = filepath.Join(dir, fmt.Sprintf("%s.%d", filepath.Base(path), n))
	}
	if err := atomicfile.Rename(path, name); err != nil {
		return dir, err
	}
	made[dir], made[filepath.Dir(path)] = true, true
	for d := range made {
		if err := atomicfile.SyncDir(d); err != nil {
			return dir, err
		}
	}
	return dir, nil
}
