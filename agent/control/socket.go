package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// maxSocketPath is the longest path that every system accepts for a unix
// socket: sun_path holds 104 bytes on macOS, 108 elsewhere.
const maxSocketPath = 100

// ErrNoAgent says that nobody serves the data folder.
var ErrNoAgent = errors.New("no agent is running")

// SocketPath returns where the control socket of a data folder is: in it, or
// in the temporary folder when that path would be too long.
func SocketPath(dataDir string) string {
	path := filepath.Join(dataDir, "control.sock")
	if len(path) <= maxSocketPath {
		return path
	}
	sum := sha256.Sum256([]byte(filepath.Clean(dataDir)))
	return filepath.Join(os.TempDir(), "popbridge-"+hex.EncodeToString(sum[:8])+".sock")
}

// Listen opens the control socket of a data folder. The caller holds the lock
// of the folder: a socket that is there is a dead one and is replaced.
func Listen(dataDir string) (net.Listener, error) {
	path := SocketPath(dataDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(err, fault.Conflict, "the old control socket cannot be removed", "remove "+path+" by hand")
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect control socket: %w", err), ln.Close())
	}
	return ln, nil
}

// dial connects to the agent of a data folder, or returns ErrNoAgent.
func dial(ctx context.Context, dataDir string) (net.Conn, error) {
	path := SocketPath(dataDir)
	if err := checkOwner(path); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	return conn, nil
}

// checkOwner refuses a socket made by another user: in a shared temporary
// folder anybody can put one where ours would be.
func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	if !ownedByUs(info) {
		return fault.New(fault.Denied, "the control socket "+path+" belongs to another user",
			"run the command as the user that the agent runs as")
	}
	return nil
}
