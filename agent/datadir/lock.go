package datadir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/popbridge/popbridge/internal/fault"
)

// lockPatience is how long a busy data folder is waited for: a command like
// `popbridge status` holds the lock for moments only, on a busy machine for longer.
const lockPatience = 3 * time.Second

// A Lock makes this process the only one that has the data folder open. The
// system releases it however the process ends; the file stays.
type Lock struct{ file *flock.Flock }

// Open makes the data folder, if it has to be made, and locks it.
func Open(ctx context.Context, dataDir string) (*Lock, error) {
	if err := create(dataDir); err != nil {
		return nil, err
	}
	return acquire(ctx, dataDir)
}

// acquire locks the data folder, or says which process has it. The file holds
// "pid command" of the holder, for that message only.
func acquire(ctx context.Context, dataDir string) (*Lock, error) {
	path := filepath.Join(dataDir, "agent.lock")
	l := &Lock{file: flock.New(path, flock.SetPermissions(0o600))}
	wait, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	ok, err := l.file.TryLockContext(wait, 20*time.Millisecond)
	switch {
	case ok:
		// Windows refuses the write to a locked file; the message then names no process.
		if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); errors.Is(err, syscall.EROFS) {
			return nil, errors.Join(unusable(err, "the data folder "+dataDir+" cannot be written", "look why its disk is read-only"), l.Close())
		}
		return l, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.New(fault.Conflict,
			fmt.Sprintf("the data folder %s is in use by another popbridge%s", dataDir, holder(path)),
			"stop it first (`popbridge stop`, or Ctrl-C where it runs), or give this one another data_dir")
	default:
		return nil, unusable(err, "the data folder "+dataDir+" cannot be locked", "check that this user may write to it, and its disk")
	}
}

func holder(path string) string {
	b, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return ""
	}
	return " (process " + pid + ")"
}

// Close releases the data folder.
func (l *Lock) Close() error { return l.file.Close() }
