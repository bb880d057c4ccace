package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// maxSocketPath is the longest path that every system accepts for a unix
// socket: sun_path holds 104 bytes on macOS, 108 elsewhere.
const maxSocketPath = 100

// ErrNoAgent says that no one serves the data folder.
var ErrNoAgent = errors.New("no agent is running")

const (
	socketName = "control.sock"
	// pathName is the file in the data folder that says where the socket is when
	// its path would be too long there. The name is not predictable, and what
	// the agent finds in its environment a command need not find.
	pathName = "control.path"
)

// socketPath returns where the control socket of a data folder is, or "" where
// no agent has made one.
func socketPath(dataDir string) string {
	if path := filepath.Join(dataDir, socketName); len(path) <= maxSocketPath {
		return path
	}
	path, _ := os.ReadFile(filepath.Join(dataDir, pathName)) // without it no agent is running
	return string(path)
}

// Listen opens the control socket of a data folder. The caller holds the lock
// of the folder: a socket that is there is a dead one and is replaced.
func Listen(dataDir string) (net.Listener, error) {
	path := socketPath(dataDir)
	if path != "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Wrap(err, fault.Conflict, "the old control socket cannot be removed", "remove "+path+" by hand")
		}
	}
	if filepath.Dir(path) == filepath.Clean(dataDir) {
		return listen(path)
	}
	if path != "" {
		_ = os.Remove(filepath.Dir(path)) // that of an agent that was killed; fails unless it is empty
	}
	return listenElsewhere(dataDir)
}

func listen(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect control socket: %w", err), ln.Close())
	}
	return ln, nil
}

// listenElsewhere opens the socket in a new folder for this user only, in the
// first place that has one with a path that is short enough.
func listenElsewhere(dataDir string) (net.Listener, error) {
	var errs []error
	for _, base := range []string{os.Getenv("RUNTIME_DIRECTORY"), os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if !filepath.IsAbs(base) || len(base) > maxSocketPath-len("/popbridge-1234567890/"+socketName) {
			continue
		}
		ln, err := listenIn(base, filepath.Join(dataDir, pathName))
		if err == nil {
			return ln, nil
		}
		errs = append(errs, err)
	}
	return nil, fault.Wrap(errors.Join(errs...), fault.Config, "the control socket cannot be made: the path of the data folder is too long, and there is no other place",
		"set XDG_RUNTIME_DIR or TMPDIR to a folder of this user, or name another data_dir")
}

func listenIn(base, pathFile string) (net.Listener, error) {
	dir, err := os.MkdirTemp(base, "popbridge-")
	if err != nil {
		return nil, err
	}
	if f := ownership.Check(dir, ownership.Options{}); f != nil {
		return nil, errors.Join(errors.New(f.Why), os.Remove(dir))
	}
	path := filepath.Join(dir, socketName)
	ln, err := listen(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	e := &elsewhere{ln, dir, pathFile}
	if err := atomicfile.Write(pathFile, 0o600, []byte(path)); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// elsewhere is a socket outside the data folder.
type elsewhere struct {
	net.Listener
	dir, pathFile string
}

// Close implements net.Listener.
func (e *elsewhere) Close() error {
	err := e.Listener.Close()
	_, _ = os.Remove(e.pathFile), os.Remove(e.dir) // Listen removes what is left
	return err
}

// dial connects to the agent of a data folder, or returns ErrNoAgent. A socket
// that others can change is refused: they would learn what it is asked.
func dial(ctx context.Context, dataDir string) (net.Conn, error) {
	path := socketPath(dataDir)
	if path == "" {
		return nil, ErrNoAgent
	}
	ours := []string{path}
	if dir := filepath.Dir(path); dir != filepath.Clean(dataDir) {
		ours = append(ours, dir)
	}
	if f := ownership.Private(filepath.Dir(path), ours...); f != nil {
		return nil, fault.New(fault.Denied, "the control socket is not used: "+f.Why, "run the command as the user that the agent runs as")
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
