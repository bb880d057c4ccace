package config

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// patience is how long a test waits for what must happen; it is never used up
// when it does.
const patience = 30 * time.Second

// call is one call of a watcher's function.
type call struct {
	old, new *Config
	err      error
}

// watching is a watcher at work on a file in a folder of its own.
type watching struct {
	t    *testing.T
	path string
	got  chan call
}

// port makes a correct configuration that is told from others by a port.
func port(n int) string { return "[imap]\nlisten = [\"127.0.0.1:" + strconv.Itoa(n) + "\"]\n" }

func watch(t *testing.T, path string, lookEvery time.Duration) *watching {
	t.Helper()
	w := &watching{t, path, make(chan call, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- (&watcher{path: path, lookEvery: lookEvery,
			changed: func(old, new *Config, err error) { w.got <- call{old, new, err} }}).serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(w.got) > 0 {
			t.Errorf("%d calls too many", len(w.got))
		}
	})
	if c := w.next(); c.old != nil || c.new == nil || c.err != nil {
		t.Fatalf("the first call is %+v", c)
	}
	return w
}

func startWatching(t *testing.T) *watching {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	write(t, path, port(1))
	return watch(t, path, time.Hour)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *watching) next() call {
	w.t.Helper()
	select {
	case c := <-w.got:
		return c
	case <-time.After(patience):
		w.t.Fatal("the change was not noticed")
		return call{}
	}
}

// wantChange skips what a half-done change may have shown, and wants the next
// correct file.
func (w *watching) wantChange(from, to int) {
	w.t.Helper()
	c := w.next()
	for c.err != nil {
		c = w.next()
	}
	for _, side := range []struct {
		name string
		cfg  *Config
		port int
	}{{"old", c.old, from}, {"new", c.new, to}} {
		if got, want := side.cfg.IMAP.Listen[0], "127.0.0.1:"+strconv.Itoa(side.port); got != want {
			w.t.Errorf("%s listens on %s, want %s", side.name, got, want)
		}
	}
}

func (w *watching) wantError(from int) {
	w.t.Helper()
	c := w.next()
	if !fault.Is(c.err, fault.Config) || c.new != nil || c.old.IMAP.Listen[0] != "127.0.0.1:"+strconv.Itoa(from) {
		w.t.Errorf("got %+v, want an error and the old configuration", c)
	}
}

func TestWatchWrite(t *testing.T) {
	w := startWatching(t)
	write(t, w.path, port(2))
	w.wantChange(1, 2)
	write(t, w.path, port(3))
	w.wantChange(2, 3)
}

func TestWatchRenameReplace(t *testing.T) {
	w := startWatching(t)
	for n := 2; n <= 3; n++ {
		write(t, w.path+".tmp", port(n))
		must(t, os.Rename(w.path+".tmp", w.path))
		w.wantChange(n-1, n)
	}
}

// TestWatchBackupThenCreate is how vim saves with backupcopy=no.
func TestWatchBackupThenCreate(t *testing.T) {
	w := startWatching(t)
	must(t, os.Rename(w.path, w.path+"~"))
	write(t, w.path, port(2))
	w.wantChange(1, 2)
}

func TestWatchDeleteThenCreate(t *testing.T) {
	w := startWatching(t)
	must(t, os.Remove(w.path))
	w.wantError(1)
	write(t, w.path, port(2))
	w.wantChange(1, 2)
}

func TestWatchBrokenThenMended(t *testing.T) {
	w := startWatching(t)
	write(t, w.path, "listn = 1")
	w.wantError(1)
	write(t, w.path, "[imap")
	w.wantError(1)
	write(t, w.path, port(1)) // as it was: this, too, ends the trouble
	w.wantChange(1, 1)
}

// TestWatchTouch writes the same again, then something else: the first is not
// worth a call.
func TestWatchTouch(t *testing.T) {
	w := startWatching(t)
	must(t, os.Chtimes(w.path, time.Now(), time.Now()))
	write(t, w.path+".tmp", port(1))
	must(t, os.Rename(w.path+".tmp", w.path))
	write(t, filepath.Join(filepath.Dir(w.path), "other.toml"), port(9))
	write(t, w.path, port(2))
	w.wantChange(1, 2)
}

// TestWatchBegins hands over a file that is correct, wrong or absent at first.
func TestWatchBegins(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "good.toml", port(1))
	write(t, "bad.toml", "listn = 1")
	for name, wantErr := range map[string]bool{"good.toml": false, "bad.toml": true, "none.toml": true} {
		ctx, cancel := context.WithCancel(context.Background())
		var got call
		must(t, Watch(ctx, name, func(old, new *Config, err error) {
			got = call{old, new, err}
			cancel()
		}))
		if got.old != nil || wantErr != (got.new == nil) || wantErr != (got.err != nil) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestWatchWithoutEvents replaces the whole folder, which ends its events.
func TestWatchWithoutEvents(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not rename a folder that is being watched")
	}
	dir := filepath.Join(t.TempDir(), "popbridge")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "config.toml")
	write(t, path, port(1))
	w := watch(t, path, 10*time.Millisecond)
	must(t, os.Rename(dir, dir+".old"))
	w.wantError(1)
	must(t, os.Mkdir(dir, 0o700))
	write(t, path, port(2))
	w.wantChange(1, 2)
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("symbolic links need a permission on Windows: ", err)
		}
		t.Fatal(err)
	}
}

// TestWatchSymlinkSwap is how Kubernetes changes a mounted file: config.toml
// points to ..data/config.toml, and ..data is replaced.
func TestWatchSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	for n := 1; n <= 3; n++ {
		version := filepath.Join(dir, "..v"+strconv.Itoa(n))
		must(t, os.Mkdir(version, 0o700))
		write(t, filepath.Join(version, "config.toml"), port(n))
	}
	symlink(t, "..v1", filepath.Join(dir, "..data"))
	symlink(t, filepath.Join("..data", "config.toml"), filepath.Join(dir, "config.toml"))
	w := watch(t, filepath.Join(dir, "config.toml"), time.Hour)
	for n := 2; n <= 3; n++ {
		symlink(t, "..v"+strconv.Itoa(n), filepath.Join(dir, "..data_tmp"))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		w.wantChange(n-1, n)
	}
}

// TestWatchSymlinkTarget changes a file that a link points to from another
// folder, as people do who keep their dotfiles under version control.
func TestWatchSymlinkTarget(t *testing.T) {
	dir, dotfiles := t.TempDir(), t.TempDir()
	target := filepath.Join(dotfiles, "popbridge.toml")
	write(t, target, port(1))
	symlink(t, target, filepath.Join(dir, "config.toml"))
	w := watch(t, filepath.Join(dir, "config.toml"), time.Hour)
	write(t, target, port(2))
	w.wantChange(1, 2)
}
