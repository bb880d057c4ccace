package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// repairHint is what helps when an index is damaged or gone.
const repairHint = "run 'popbridge check --repair': it rebuilds the index from what is kept beside it, with the same UIDs"

var (
	errClosed = fault.New(fault.Internal, "the mail store is closed", "")
	errAway   = &Failure{fault.New(fault.Temporary, "the index of the mail store cannot be reached", awayHint)}
)

// A Failure is an error of the disk or the index, whatever was asked of them: it
// is the store's and not of what was stored.
type Failure struct{ error }

func (e *Failure) Unwrap() error { return e.error }

const awayHint = "check that the disk or network drive of the data folder is connected and sound"

// failure makes a fault out of whatever the disk or the index answered. doing
// says what was being done, as in "store messages".
func failure(err error, doing string) error {
	if _, known := errors.AsType[*Failure](err); err == nil || known {
		return err
	}
	err = classify(err, doing)
	switch fault.KindOf(err) {
	case fault.Full, fault.Corrupt, fault.Temporary:
		return &Failure{err}
	default:
		return err
	}
}

func classify(err error, doing string) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case atomicfile.IsHeld(err):
		return err // a fault, which says it all
	case isFull(err):
		return fault.Wrap(err, fault.Full, "no space left for the mail store",
			"free some space on the disk of the data folder; the work goes on by itself")
	case sqliteCode(err) == sqlite3.SQLITE_CORRUPT, sqliteCode(err) == sqlite3.SQLITE_NOTADB:
		return fault.Wrap(err, fault.Corrupt, "the index of the mail store is damaged",
			repairHint)
	case sqliteCode(err) == sqlite3.SQLITE_BUSY, sqliteCode(err) == sqlite3.SQLITE_LOCKED:
		return fault.Wrap(err, fault.Temporary, "the index of the mail store is locked by another program",
			"close other programs that have index.db open")
	case errors.Is(err, fs.ErrPermission):
		return denied(err)
	case isReadOnly(err):
		return fault.Wrap(err, fault.Temporary, "the mail store cannot be written",
			"check owner and permissions of the data folder, and that its disk is not mounted read-only")
	case isIO(err):
		return fault.Wrap(err, fault.Temporary, "the disk of the mail store reports an error",
			awayHint)
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// readErrorBehindCorrupt tells a damaged index from a disk that cannot be read: SQLite takes EIO
// for damage. It reads the index, which costs nothing beside either.
func readErrorBehindCorrupt(path string, err error) error {
	if sqliteCode(err) != sqlite3.SQLITE_CORRUPT {
		return err
	}
	for _, name := range []string{path, path + "-wal"} {
		f, openErr := atomicfile.Open(name)
		if openErr != nil {
			if errors.Is(openErr, fs.ErrNotExist) {
				continue
			}
			return openErr
		}
		_, readErr := io.Copy(io.Discard, f)
		_ = f.Close() // only read
		if readErr != nil {
			return readErr
		}
	}
	return err
}

// sqliteCode returns the primary result code, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func isReadOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || sqliteCode(err) == sqlite3.SQLITE_READONLY
}

func isFull(err error) bool {
	// On Linux the file that is mapped as shared memory takes its room at once.
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		return true
	}
	if sqliteCode(err) == sqlite3.SQLITE_FULL || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	const handleDiskFull, diskFull = syscall.Errno(39), syscall.Errno(112) // of Windows
	return runtime.GOOS == "windows" && (errors.Is(err, handleDiskFull) || errors.Is(err, diskFull))
}

func isIO(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	_, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		_, ok = errors.AsType[syscall.Errno](err)
	}
	return ok
}
