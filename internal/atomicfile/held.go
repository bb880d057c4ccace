package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// How long a file is waited for that another program has open. Windows refuses to
// rename, remove or open it meanwhile, and scanners and indexers open what is new,
// for seconds at most.
const (
	heldFor      = 10 * time.Second
	deniedFor    = 250 * time.Millisecond // where it may be a matter of permissions as well
	firstPause   = 5 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// HeldError is why a file could not be renamed, removed or opened in time: another
// program has it open. It is a fault of kind Temporary.
type HeldError struct {
	Path string
	Err  error
}

func (e *HeldError) Error() string { return "another program has the file open: " + e.Err.Error() }

// Unwrap returns what the system said.
func (e *HeldError) Unwrap() error { return e.Err }

// As makes a fault out of e.
func (e *HeldError) As(target any) bool {
	f, ok := target.(**fault.Error)
	if ok {
		*f = &fault.Error{Kind: fault.Temporary, Text: "another program has the file open", Err: e.Err,
			Hint: "exclude the folder " + filepath.Dir(e.Path) + " from virus scanners, indexers and sync programs, or close the program that has the file open; it is tried again"}
	}
	return ok
}

// IsHeld reports whether err is a HeldError.
func IsHeld(err error) bool {
	_, ok := errors.AsType[*HeldError](err)
	return ok
}

// Rename is os.Rename. Like the other functions here it waits for a file that another
// program has open, ten seconds at most; then the error is a HeldError.
func Rename(from, to string) error {
	return system.again(heldFor, func() error { return os.Rename(from, to) }, from, to)
}

// Remove is os.Remove.
func Remove(path string) error {
	return system.again(deniedFor, func() error { return os.Remove(path) }, path)
}

// RemoveAll is os.RemoveAll.
func RemoveAll(path string) error {
	return system.again(heldFor, func() error { return os.RemoveAll(path) }, path)
}

// Open is os.Open.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// OpenFile is os.OpenFile.
func OpenFile(path string, flag int, mode fs.FileMode) (f *os.File, err error) {
	err = system.again(deniedFor, func() error {
		f, err = os.OpenFile(path, flag, mode)
		return err
	}, path)
	return f, err
}

// ReadFile is os.ReadFile.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(f)
}

// Await waits for a file that another program has open and does not share, so that
// a library which does not wait can open it. One that does not exist is not waited for.
func Await(path string) error {
	err := system.again(deniedFor, func() error { return openable(path) }, path)
	if IsHeld(err) {
		return err
	}
	return nil // the library says what else is wrong
}

// holding is how a system refuses what is asked of a file that another program has
// open.
type holding struct {
	// refusal reports that an error may come from that, and whether from nothing else.
	refusal func(error) (may, must bool)
	held    func(path string) bool // another program has the file open now
	sleep   func(time.Duration)
}

// again repeats attempt while other programs have one of the files open. An error
// that may have another cause is waited for as long as limit.
func (h holding) again(limit time.Duration, attempt func() error, paths ...string) error {
	var waited time.Duration
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := attempt()
		may, held := h.refusal(err)
		if err == nil || !may {
			return err
		}
		path := paths[0]
		if at := slices.IndexFunc(paths, h.held); at >= 0 {
			path, held = paths[at], true
		}
		if held && waited >= heldFor {
			return &HeldError{path, err}
		}
		if !held && waited >= limit {
			return err
		}
		h.sleep(pause)
		waited += pause
	}
}
