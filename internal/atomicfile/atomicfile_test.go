package atomicfile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

func TestWriteCreatesAndReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, c := range []struct {
		data []byte
		mode fs.FileMode
	}{
		{[]byte("first"), 0o600},
		{[]byte("second and longer"), 0o644},
		{nil, 0o600},
	} {
		if err := atomicfile.Write(path, c.mode, c.data); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, c.data) {
			t.Errorf("content = %q, %v; want %q", got, err, c.data)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != c.mode {
			t.Errorf("mode = %v, want %v", info.Mode().Perm(), c.mode)
		}
	}
	alone(t, path)
}

func TestWriteLeavesNothingBehindWhenItCannot(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.MkdirAll(filepath.Join(target, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(target, 0o600, []byte("x")); err == nil {
		t.Error("a directory that is not empty was replaced")
	}
	alone(t, target)
	cut := filepath.Join(t.TempDir(), "file")
	if err := atomicfile.Write(cut, 0o600, []byte("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := atomicfile.WriteFunc(cut, 0o600, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return broken })
	if data, _ := os.ReadFile(cut); !errors.Is(err, broken) || string(data) != "old" {
		t.Errorf("content %q, %v", data, err)
	}
	alone(t, cut)
	if err := atomicfile.Write(filepath.Join(dir, "none", "file"), 0o600, nil); err == nil {
		t.Error("a file was written into a directory that does not exist")
	}
}

func TestWriteInTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := atomicfile.Write("file", 0o600, []byte("x")); err != nil {
		t.Fatal(err)
	}
	alone(t, "file")
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	if err := atomicfile.SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := atomicfile.SyncDir(filepath.Join(dir, "none")); err == nil && runtime.GOOS != "windows" {
		t.Error("a directory that does not exist was synced")
	}
}

// alone fails the test when the directory of path holds anything else.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("directory holds %v", entries)
	}
}
