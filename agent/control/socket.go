package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

// ErrNoAgent says that no one serves the data folder.
var ErrNoAgent = errors.New("no agent is running")

const (
	// pathName is the file in the data folder that says where the endpoint is that
	// is not in it. The name is not predictable, and what the agent finds in its
	// environment a command need not find.
	pathName    = "control.path"
	dialTimeout = 5 * time.Second
)

// Listen opens the control endpoint of a data folder: a unix socket, on Windows a
// named pipe. The caller holds the lock of the folder: what is there of an earlier
// one is dead and is replaced.
func Listen(dataDir string) (net.Listener, error) { return listen(dataDir) }

// elsewhere is an endpoint outside the data folder.
type elsewhere struct {
	net.Listener
	pathFile string
	dir      string // that was made for it; may be empty
}

// newElsewhere notes in the data folder where the endpoint is.
func newElsewhere(ln net.Listener, path, dir, dataDir string) (net.Listener, error) {
	e := &elsewhere{ln, filepath.Join(dataDir, pathName), dir}
	if err := atomicfile.Write(e.pathFile, 0o600, []byte(path+"\n"+dataDir)); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close implements net.Listener.
func (e *elsewhere) Close() error {
	err := e.Listener.Close()
	_ = os.Remove(e.pathFile) // Listen removes what is left
	if e.dir != "" {
		_ = os.Remove(e.dir)
	}
	return err
}

// noted returns what newElsewhere has noted, or "".
func noted(dataDir string) string {
	text, _ := atomicfile.ReadFile(filepath.Join(dataDir, pathName)) // without it no agent is running
	path, of, _ := strings.Cut(string(text), "\n")
	if of != "" && !sameFolder(of, dataDir) {
		return "" // it was copied with the folder of another agent
	}
	return path
}

func sameFolder(a, b string) bool {
	is, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(is, other)
}

// dial connects to the agent of a data folder, or returns ErrNoAgent.
func dial(ctx context.Context, dataDir string) (net.Conn, error) {
	path, err := endpoint(dataDir)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, ErrNoAgent
	}
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialEndpoint(limited, path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreachable(err)
	}
	return conn, nil
}

// unreachable says why the endpoint cannot be used: one that is dead is no agent.
func unreachable(err error) error {
	switch {
	case fault.Is(err, fault.Denied):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(err, fault.Denied, "the agent runs as another user", asThatUser)
	}
	return fmt.Errorf("%w: %w", ErrNoAgent, err)
}
