package config

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen; it is never used up
// when it does.
const patience = 30 * time.Second

// watching is a watcher at work on a file in a folder of its own.
type watching struct {
	t    *testing.T
	path string
	got  chan struct{} // a call each
}

// port makes a correct configuration that is told from others by a port.
func port(n int) string { return "[imap]\nlisten = [\"127.0.0.1:" + strconv.Itoa(n) + "\"]\n" }

func watch(t *testing.T, path string, lookEvery time.Duration) *watching {
	t.Helper()
	w := &watching{t, path, make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- (&watcher{path: path, lookEvery: lookEvery, changed: func() { w.got <- struct{}{} }}).serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.next() // the first call
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

func (w *watching) next() {
	w.t.Helper()
	select {
	case <-w.got:
	case <-time.After(patience):
		w.t.Fatal("the change was not noticed")
	}
}

// wantChange skips the calls for what a half-done change may have shown, and
// wants one after which the file is the correct one with this port.
func (w *watching) wantChange(to int) {
	w.t.Helper()
	for {
		w.next()
		if cfg, err := Load(w.path); err == nil && cfg.IMAP.Listen[0] == "127.0.0.1:"+strconv.Itoa(to) {
			return
		}
	}
}

func TestWatchWrite(t *testing.T) {
	w := startWatching(t)
	write(t, w.path, port(2))
	w.wantChange(2)
	write(t, w.path, port(3))
	w.wantChange(3)
}

func TestWatchRenameReplace(t *testing.T) {
	w := startWatching(t)
	for n := 2; n <= 3; n++ {
		write(t, w.path+".tmp", port(n))
		must(t, os.Rename(w.path+".tmp", w.path))
		w.wantChange(n)
	}
}

// TestWatchBackupThenCreate is how vim saves with backupcopy=no.
func TestWatchBackupThenCreate(t *testing.T) {
	w := startWatching(t)
	must(t, os.Rename(w.path, w.path+"~"))
	write(t, w.path, port(2))
	w.wantChange(2)
}

func TestWatchDeleteThenCreate(t *testing.T) {
	w := startWatching(t)
	must(t, os.Remove(w.path))
	w.next()
	write(t, w.path, port(2))
	w.wantChange(2)
}

func TestWatchBrokenThenCorrected(t *testing.T) {
	w := startWatching(t)
	write(t, w.path, "listn = 1")
	w.next()
	write(t, w.path, "[imap")
	w.next()
	write(t, w.path, port(1)) // as it was: this, too, ends the trouble
	w.wantChange(1)
}

// TestWatchTouch writes the same again, then something else: the first is not
// worth a call.
func TestWatchTouch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	calls := 0
	w := &watcher{path: path, changed: func() { calls++ }}
	want := func(n int, after string) {
		t.Helper()
		w.look()
		w.look()
		if calls != n {
			t.Errorf("after %s: %d calls, want %d", after, calls, n)
		}
	}
	want(1, "the start without a file")
	write(t, path, port(1))
	want(2, "the first file")
	write(t, path+".tmp", port(1))
	must(t, os.Rename(path+".tmp", path))
	want(2, "the same again")
	write(t, path, port(2))
	want(3, "another one")
	must(t, os.Remove(path))
	want(4, "its end")
}

// TestWatchBegins calls at once, whether the file is correct, wrong or absent.
func TestWatchBegins(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "good.toml", port(1))
	write(t, "bad.toml", "listn = 1")
	for _, name := range []string{"good.toml", "bad.toml", "none.toml"} {
		ctx, cancel := context.WithCancel(context.Background())
		calls := 0
		must(t, Watch(ctx, name, func() { calls++; cancel() }))
		if calls != 1 {
			t.Errorf("%s: %d calls", name, calls)
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
	w.next()
	must(t, os.Mkdir(dir, 0o700))
	write(t, path, port(2))
	w.wantChange(2)
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if os.Getenv("WINEPREFIX") != "" {
		t.Skip("wine 8 does not follow symbolic links that a program of Windows made")
	}
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
		w.wantChange(n)
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
	w.wantChange(2)
}
