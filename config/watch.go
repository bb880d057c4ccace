package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How a change is noticed.
const (
	quietFor  = 200 * time.Millisecond // no event for so long: whoever writes is done
	settledIn = 2 * time.Second        // events do not stop: read anyway
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

	seen *[sha256.Size]byte // of the content at the last call; zero when it could not be read
}

func (w *watcher) serve(ctx context.Context) error {
	// Without events (no inotify instances left, say) there is the ticker.
	var events <-chan fsnotify.Event
	var errs <-chan error
	notify, err := fsnotify.NewWatcher()
	if err == nil {
		defer notify.Close()
		events, errs = notify.Events, notify.Errors
		w.watchFolders(notify)
	}
	w.look()

	ticker := time.NewTicker(w.lookEvery)
	defer ticker.Stop()
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	var first time.Time // of the events that were not looked at yet
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events: // of any name: a swapped symbolic link shows under another one
			if first.IsZero() {
				first = time.Now()
			}
			timer.Reset(max(0, min(quietFor, settledIn-time.Since(first))))
			continue
		case err := <-errs:
			_ = err // an overflow: events were lost, so look
		case <-timer.C:
		case <-ticker.C:
		}
		first = time.Time{}
		w.look()
		if notify != nil {
			w.watchFolders(notify)
		}
	}
}

// watchFolders watches the folder of the file, since editors replace files
// instead of writing them, and that of the file behind symbolic links. It is
// repeated because both can be replaced; adding a folder again does no harm.
func (w *watcher) watchFolders(notify *fsnotify.Watcher) {
	_ = notify.Add(filepath.Dir(w.path)) // when it fails the ticker looks
	if real, err := filepath.EvalSymlinks(w.path); err == nil {
		_ = notify.Add(filepath.Dir(real))
	}
}

// look tells of the content if it is new.
func (w *watcher) look() {
	data, err := readFile(w.path)
	var sum [sha256.Size]byte
	if err == nil {
		sum = sha256.Sum256(data)
	}
	if w.seen == nil || sum != *w.seen {
		w.seen = &sum
		w.changed()
	}
}
