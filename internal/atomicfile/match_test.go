package atomicfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// TestMatch: what stands for something in a pattern can be in the name of a folder.
func TestMatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail [old] {a,b}")
	if got, err := atomicfile.Match(dir, "*"); len(got) > 0 || err != nil {
		t.Errorf("no folder: %q, %v", got, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index-1.db", "index-2.db", "index.db", "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(dir, "index-1.db"), filepath.Join(dir, "index-2.db")}
	if got, err := atomicfile.Match(dir, "index-*.db"); !slices.Equal(got, want) || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := atomicfile.Match(dir, "["); err == nil {
		t.Error("a pattern that is none")
	}
}
