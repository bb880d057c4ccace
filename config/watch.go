package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How a change becomes a new snapshot.
const (
	quietFor  = 200 * time.Millisecond // no event for so long: whoever writes is done
	settledIn = 2 * time.Second        // events do not stop: read anyway
	lookEvery = time.Minute            // where no events come: network drives, a folder that was replaced
)

// Watch hands over what the file says, at once and then whenever its content
// has changed, until ctx ends; then it returns nil. The first call is there so
// that nothing is missed which changed between Load and Watch. It works without
// file events, too, only later.
//
// A correct file comes as (old, new, nil), old being the last correct one that
// was handed over, nil at first; new may say the same in other words (see Diff).
// A file that is wrong or gone comes as (old, nil, err), once for each content;
// the next correct one ends that, even when it is the same as old. Calls come
// one at a time.
func Watch(ctx context.Context, path string, changed func(old, new *Config, err error)) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("watch the config file: %w", err)
	}
	return (&watcher{path: path, changed: changed, lookEvery: lookEvery}).serve(ctx)
}

type watcher struct {
	path      string
	changed   func(old, new *Config, err error)
	lookEvery time.Duration

	good *Config            // the last correct one
	seen *[sha256.Size]byte // SHA-256 of the content that was handed over last; zero when it could not be read
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
		case <-errs: //nolint:errcheck // an overflow: events were lost, so look
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

// look reads the file and hands it over if its content is new.
func (w *watcher) look() {
	data, err := readFile(w.path)
	var sum [sha256.Size]byte
	if err == nil {
		sum = sha256.Sum256(data)
	}
	if w.seen != nil && sum == *w.seen {
		return
	}
	w.seen = &sum
	var cfg *Config
	if err == nil {
		cfg, err = Parse(w.path, data)
	}
	if err != nil {
		w.changed(w.good, nil, err)
		return
	}
	old := w.good
	w.good = cfg
	w.changed(old, cfg, nil)
}
