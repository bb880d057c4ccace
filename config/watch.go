package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/popbridge/popbridge/internal/ownership"
)

// How a change is noticed.
const (
	quietFor  = 200 * time.Millisecond // no event for so long: whoever writes is done
	settledIn = 2 * time.Second        // events do not stop: read anyway
	readAgain = 500 * time.Millisecond // after the file could not be read
	lookEvery = time.Minute            // where no events come: network drives, a folder that was replaced
)

// Watch calls changed at once and then whenever the content of the file has
// changed, until ctx ends; then it returns nil. The first call is there so that
// nothing is missed which changed between Load and Watch. A file that goes, or
// cannot be read, has changed, too. It works without file events, only later.
// Calls come one at a time.
func Watch(ctx context.Context, path string, changed func()) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("watch the config file: %w", err)
	}
	return (&watcher{path: path, changed: changed, lookEvery: lookEvery}).serve(ctx)
}

// WaitSettled waits until nothing has changed the file for so long that whoever writes
// it is done, two seconds at most, or until ctx ends.
func WaitSettled(ctx context.Context, path string) {
	for end := time.Now().Add(settledIn); time.Now().Before(end); {
		info, err := os.Stat(path)
		if err != nil {
			return
		}
		left := min(quietFor, quietFor-time.Since(info.ModTime()))
		if left <= 0 {
			return
		}
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return
		}
	}
}

type watcher struct {
	path      string
	changed   func()
	lookEvery time.Duration
	notify    notifier // nil: the system's, where it has one

	seen    *[sha256.Size]byte     // of the content at the last call; zero when it could not be read
	watched map[string]fs.FileInfo // the folders that notify watches, as they were then
}

// A notifier reports what happens in folders, as fsnotify.Watcher does. On Windows
// Add waits for the goroutine that delivers events and errors: whoever calls it
// must not be who receives them, or both wait for ever.
type notifier interface {
	Add(folder string) error
	Close() error
	// next waits for an event or an error, which means that events were lost;
	// false after Close.
	next() bool
}

type systemNotifier struct{ *fsnotify.Watcher }

func (n systemNotifier) next() (ok bool) {
	select {
	case _, ok = <-n.Events: // of any name: a swapped symbolic link shows under another one
	case _, ok = <-n.Errors:
	}
	return ok
}

func (w *watcher) serve(ctx context.Context) error {
	if w.notify == nil {
		if n, err := fsnotify.NewWatcher(); err == nil {
			w.notify = systemNotifier{n}
		} // without events (no inotify instances left, say) there is the ticker
	}
	events := make(chan struct{}, 1)
	if w.notify != nil {
		var wg sync.WaitGroup
		defer wg.Wait()
		defer func() { _ = w.notify.Close() }() // nothing can be done about it
		wg.Go(func() { w.receive(events) })
	}
	return w.await(ctx, events)
}

// receive keeps receiving, whatever await does, until the notifier is closed.
func (w *watcher) receive(events chan<- struct{}) {
	for w.notify.next() {
		select {
		case events <- struct{}{}:
		default: // one waits already
		}
	}
}

func (w *watcher) await(ctx context.Context, events <-chan struct{}) error {
	ticker := time.NewTicker(w.lookEvery)
	defer ticker.Stop()
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	var first time.Time // of the events that were not looked at yet
	for {
		first = time.Time{}
		w.watchFolders()
		if !w.look() {
			timer.Reset(readAgain)
		}
	events:
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-events:
				if first.IsZero() {
					first = time.Now()
				}
				timer.Reset(max(0, min(quietFor, settledIn-time.Since(first))))
			case <-timer.C:
				break events
			case <-ticker.C:
				w.watched = nil // a folder that was moved away and back is the same, and no longer watched
				break events
			}
		}
	}
}

// watchFolders watches the folder of the file, since editors replace files
// instead of writing them, and that of the file behind symbolic links. It is
// repeated because both can be replaced; one that is watched is not added again.
func (w *watcher) watchFolders() {
	if w.notify == nil {
		return
	}
	w.watchFolder(filepath.Dir(w.path))
	if real, err := filepath.EvalSymlinks(w.path); err == nil {
		w.watchFolder(filepath.Dir(real))
	}
}

func (w *watcher) watchFolder(folder string) {
	info, err := os.Stat(folder)
	if err != nil { // the ticker looks
		delete(w.watched, folder)
		return
	}
	if was := w.watched[folder]; was != nil && os.SameFile(was, info) {
		return
	}
	if w.watched == nil {
		w.watched = map[string]fs.FileInfo{}
	}
	if w.notify.Add(folder) == nil {
		w.watched[folder] = info
	}
}

// look reports the content if it is new. It returns false when there is a file
// that cannot be read, which another program may have open for a moment.
func (w *watcher) look() bool {
	data, err := readFile(w.path)
	var sum [sha256.Size]byte
	if err == nil {
		if f := ownership.Check(w.path, ownership.Options{}); f != nil { // Load refuses it: that ends by chmod, too
			data = append(data, f.Why...)
		}
		sum = sha256.Sum256(data)
	}
	if w.seen == nil || sum != *w.seen {
		w.seen = &sum
		w.changed()
	}
	if err == nil {
		return true
	}
	_, err = os.Lstat(w.path)
	return errors.Is(err, fs.ErrNotExist)
}
