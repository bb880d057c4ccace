//go:build !windows

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

// maxSocketPath is the longest path that every system accepts for a unix
// socket: sun_path holds 104 bytes on macOS, 108 elsewhere.
const maxSocketPath = 100

const socketName = "control.sock"

// asThatUser is the hint where the agent's user is another one.
const asThatUser = "run the command as the user that the agent runs as"

// socketPath returns where the control socket of a data folder is, or "" where
// no agent has made one.
func socketPath(dataDir string) string {
	path := filepath.Join(dataDir, socketName)
	if info, err := os.Lstat(path); len(path) <= maxSocketPath && err == nil && !info.IsDir() {
		return path
	}
	return noted(dataDir)
}

// endpoint is socketPath. A socket that others can change is refused: they would
// learn what it is asked.
func endpoint(dataDir string) (string, error) {
	path := socketPath(dataDir)
	if path == "" {
		return "", nil
	}
	ours := []string{path}
	if dir := filepath.Dir(path); dir != filepath.Clean(dataDir) {
		ours = append(ours, dir)
	}
	if f := ownership.Private(filepath.Dir(path), ours...); f != nil {
		return "", fault.New(fault.Denied, "the control socket is not used: "+f.Why, asThatUser)
	}
	return path, nil
}

func dialEndpoint(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// listen opens the socket in the data folder, or elsewhere where its path would be
// too long or where there cannot be one (exFAT, SMB).
func listen(dataDir string) (net.Listener, error) {
	if path := noted(dataDir); filepath.IsAbs(path) && filepath.Base(path) == socketName { // of an agent that was killed
		_, _ = os.Remove(path), os.Remove(filepath.Dir(path)) // which fails unless it is empty
	}
	path := filepath.Join(dataDir, socketName)
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = nil
		if len(path) <= maxSocketPath {
			var ln net.Listener
			if ln, err = listenAt(path); err == nil {
				_ = os.Remove(filepath.Join(dataDir, pathName)) // the socket goes first
				return ln, nil
			}
		}
	}
	return listenElsewhere(dataDir, err)
}

func listenAt(path string) (net.Listener, error) {
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
// first place that has one with a path that is short enough. inside is why it cannot
// be in the data folder, nil where that has too long a path.
func listenElsewhere(dataDir string, inside error) (net.Listener, error) {
	errs := []error{inside}
	for _, base := range []string{os.Getenv("RUNTIME_DIRECTORY"), os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if !filepath.IsAbs(base) || len(base) > maxSocketPath-len("/popbridge-1234567890/"+socketName) {
			continue
		}
		ln, err := listenIn(base, dataDir)
		if err == nil {
			return ln, nil
		}
		errs = append(errs, err)
	}
	text := "the control socket cannot be made: the path of the data folder is too long, and there is no other place"
	if inside != nil {
		text = "the control socket can be made neither in the data folder nor elsewhere"
	}
	return nil, fault.Wrap(errors.Join(errs...), fault.Config, text,
		"set XDG_RUNTIME_DIR or TMPDIR to a folder of this user, or name another data_dir")
}

func listenIn(base, dataDir string) (net.Listener, error) {
	dir, err := os.MkdirTemp(base, "popbridge-")
	if err != nil {
		return nil, err
	}
	if f := ownership.Check(dir, ownership.Options{}); f != nil {
		return nil, errors.Join(errors.New(f.Why), os.Remove(dir))
	}
	path := filepath.Join(dir, socketName)
	ln, err := listenAt(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return newElsewhere(ln, path, dir, dataDir)
}
