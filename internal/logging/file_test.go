package logging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALogFileRotatesWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "popbridge.log")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1<<20-1) + "\n"
	for range maxFile>>20 + 3 {
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int64{path + ".old": maxFile + 1<<20, path: 2 << 20} {
		if info, err := os.Stat(name); err != nil || info.Size() != want {
			t.Errorf("%s: %v, %v; want %d bytes", name, info, err, want)
		}
	}
}
