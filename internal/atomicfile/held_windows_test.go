package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// hold opens a file as a scanner does that lets no one else near it, for a while.
func hold(t *testing.T, path string) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	time.AfterFunc(1500*time.Millisecond, func() { _ = windows.CloseHandle(h); close(done) })
	t.Cleanup(func() { <-done })
}

func TestFilesThatAreHeldOpen(t *testing.T) {
	for name, act := range map[string]func(path string) error{
		"rename from": func(path string) error { return atomicfile.Rename(path, path+".new") },
		"rename to": func(path string) error {
			if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
				return err
			}
			return atomicfile.Rename(path+".new", path)
		},
		"remove":     atomicfile.Remove,
		"remove all": func(path string) error { return atomicfile.RemoveAll(filepath.Dir(path)) },
		"read":       func(path string) error { _, err := atomicfile.ReadFile(path); return err },
		"sync":       atomicfile.SyncFile,
		"write":      func(path string) error { return atomicfile.Write(path, 0o600, []byte("new")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "folder", "file")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			hold(t, path)
			if err := act(path); err != nil {
				t.Error(err)
			}
		})
	}
}
