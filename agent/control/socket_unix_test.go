//go:build !windows

package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func TestADeadSocketIsReplaced(t *testing.T) {
	dir := shortTempDir(t)
	dead, err := net.Listen("unix", socketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()
	if _, err := Connect(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("connect to a dead socket: %v", err)
	}
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	info, err := os.Stat(socketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
}

// farDir is a data folder whose path is too long for a socket.
func farDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(shortTempDir(t), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAFarDataFolderHasItsSocketElsewhere(t *testing.T) {
	runtimeDir := shortTempDir(t)
	for _, c := range []struct{ runtimeDir, within string }{
		{runtimeDir, runtimeDir}, {"", os.TempDir()}, {"relative", os.TempDir()}, {"/no/such/folder", os.TempDir()}, {"/" + strings.Repeat("x", maxSocketPath), os.TempDir()},
	} {
		t.Setenv("XDG_RUNTIME_DIR", c.runtimeDir)
		dir := farDir(t)
		if _, err := Connect(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
			t.Errorf("without an agent: %v", err)
		}
		ln, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("XDG_RUNTIME_DIR", "") // a command need not have the agent's environment
		path := socketPath(dir)
		if !strings.HasPrefix(path, c.within+string(filepath.Separator)) || len(path) > maxSocketPath {
			t.Errorf("the socket is %s, want it in %s", path, c.within)
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("its folder: %v, %v", info, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- Serve(ctx, ln, &fakeOps{status: operations.Status{PID: 7}}, zerolog.Nop()) }()
		client, err := Connect(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := client.Status(t.Context()); err != nil || s.PID != 7 {
			t.Errorf("%+v, %v", s, err)
		}
		_ = client.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Dir(path)); err == nil {
			t.Error("the folder of the socket is left")
		}
	}
}

func TestASocketElsewhereThatAKilledAgentLeft(t *testing.T) {
	dir := farDir(t)
	dead, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := socketPath(dir)
	inner := dead.(*elsewhere).Listener.(*net.UnixListener)
	inner.SetUnlinkOnClose(false)
	_ = inner.Close()
	if _, err := Connect(t.Context(), dir); !errors.Is(err, ErrNoAgent) {
		t.Errorf("connect to a dead socket: %v", err)
	}
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if _, err := os.Lstat(filepath.Dir(left)); err == nil || socketPath(dir) == left {
		t.Errorf("%s is left", left)
	}
}

// In a folder that others can write anyone could put a socket where ours would be.
func TestASocketOfOthersIsRefused(t *testing.T) {
	for name, plant := range map[string]func(socket string) error{
		"link": func(socket string) error {
			return errors.Join(os.Rename(socket, socket+"2"), os.Symlink(socket+"2", socket))
		},
		"open to all":     func(socket string) error { return os.Chmod(socket, 0o666) },
		"folder for all":  func(socket string) error { return os.Chmod(filepath.Dir(socket), 0o777) },
		"another's":       func(socket string) error { return os.Chown(socket, 54321, 54321) },
		"another's place": func(socket string) error { return os.Chown(filepath.Dir(socket), 54321, 54321) },
	} {
		if strings.HasPrefix(name, "another") && os.Geteuid() != 0 {
			continue
		}
		dir := farDir(t)
		ln, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := plant(socketPath(dir)); err != nil {
			t.Fatal(err)
		}
		if _, err := Connect(t.Context(), dir); !fault.Is(err, fault.Denied) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		_ = os.RemoveAll(filepath.Dir(socketPath(dir)))
		_ = ln.Close()
	}
}

// A data folder on exFAT or SMB cannot hold a socket.
func TestADataFolderThatHoldsNoSocketHasItElsewhere(t *testing.T) {
	dir := shortTempDir(t)
	if err := os.MkdirAll(filepath.Join(dir, socketName, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := socketPath(dir)
	if filepath.Dir(path) == dir {
		t.Errorf("the socket is %s", path)
	}
	conn, err := dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Dir(path)); err == nil {
		t.Error("the folder of the socket is left")
	}

	// Once it can, it does.
	if err := os.RemoveAll(filepath.Join(dir, socketName)); err != nil {
		t.Fatal(err)
	}
	if ln, err = Listen(dir); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if path := socketPath(dir); path != filepath.Join(dir, socketName) {
		t.Errorf("the socket is %s", path)
	}
}

// A copy of a data folder has the file that names the socket, too: it is not that of an
// agent of the copy.
func TestACopiedDataFolderHasNoAgent(t *testing.T) {
	dir, copied := farDir(t), farDir(t)
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, &fakeOps{status: operations.Status{PID: 7}}, zerolog.Nop()) }()
	named, err := os.ReadFile(filepath.Join(dir, pathName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, pathName), named, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), copied); !errors.Is(err, ErrNoAgent) {
		t.Errorf("the copy: %v", err)
	}
	other, err := Listen(copied)
	if err != nil {
		t.Fatal(err)
	}
	if client, err := Connect(t.Context(), dir); err != nil {
		t.Errorf("the original, once the copy has an agent: %v", err)
	} else {
		_ = client.Close()
	}
	_ = other.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
