package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A windowsNotifier is fsnotify on Windows at its worst: Add waits until an
// error was received, and a folder that is added twice is one.
type windowsNotifier struct {
	errs   chan error
	closed chan struct{}

	mu    sync.Mutex
	added map[string]int
}

func newWindowsNotifier() *windowsNotifier {
	return &windowsNotifier{errs: make(chan error), closed: make(chan struct{}), added: map[string]int{}}
}

func (n *windowsNotifier) Add(folder string) error {
	n.happens()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.added[folder]++
	return nil
}

func (n *windowsNotifier) Close() error { close(n.closed); return nil }

func (n *windowsNotifier) next() bool {
	select {
	case <-n.errs:
		return true
	case <-n.closed:
		return false
	}
}

// happens delivers an error, which no one may let wait.
func (n *windowsNotifier) happens() {
	select {
	case n.errs <- errors.New("the buffer was too small"):
	case <-n.closed:
	}
}

func (n *windowsNotifier) times(folder string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.added[folder]
}

func watchThrough(t *testing.T, n notifier, path string) *watching {
	t.Helper()
	w := &watching{t, path, make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- (&watcher{path: path, lookEvery: time.Hour, notify: n, changed: func() { w.got <- struct{}{} }}).serve(ctx)
	}()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	w.next()
	return w
}

func TestWatchReceivesErrorsWhileItAddsFolders(t *testing.T) {
	n, dir := newWindowsNotifier(), filepath.Join(t.TempDir(), "popbridge")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "config.toml")
	write(t, path, port(1))
	w := watchThrough(t, n, path)
	for to := 2; to <= 6; to++ {
		write(t, path, port(to))
		for range 20 { // other files in the folder change
			n.happens()
		}
		w.wantChange(to)
	}
	if got := n.times(dir); got != 1 {
		t.Errorf("the folder was added %d times", got)
	}
}

func TestWatchAddsAFolderThatWasReplaced(t *testing.T) {
	n, dir := newWindowsNotifier(), filepath.Join(t.TempDir(), "popbridge")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "config.toml")
	write(t, path, port(1))
	w := watchThrough(t, n, path)
	must(t, os.Rename(dir, dir+".old"))
	must(t, os.Mkdir(dir, 0o700))
	write(t, path, port(2))
	n.happens()
	w.wantChange(2)
	if got := n.times(dir); got != 2 {
		t.Errorf("the folder was added %d times", got)
	}
}

// A file that another program has open is read again at once, not a minute later.
func TestWatchReadsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	must(t, os.Mkdir(path, 0o700)) // cannot be read, whoever asks
	w := watchThrough(t, newWindowsNotifier(), path)
	must(t, os.Remove(path))
	write(t, path, port(2))
	from := time.Now()
	w.wantChange(2)
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("read again after %v", took)
	}
}
