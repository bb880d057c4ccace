// Package testkit holds what tests of several packages need: where the module and
// its optional neighbour folder are, a certificate authority that lives as long
// as one test, and an endless supply of synthetic messages.
//
// It is imported by tests only; the import-graph test holds that. Nothing in it
// depends on another package of this module, so every package may use it.
package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ModuleRoot returns the folder that holds go.mod.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("working directory: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod in any folder above the test")
		}
		dir = parent
	}
}

// Shared returns a path in the folder "shared" beside the module, which holds
// reference material that is not part of the project. The test is skipped where
// it is absent: no test may need it to pass.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{ModuleRoot(t), "..", "shared"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("reference material is not here: %s", filepath.Join(elem...))
	}
	return path
}

// Corpus returns the exact bytes of every message in the shared corpus by file
// name. The test is skipped where the corpus is absent.
func Corpus(t testing.TB) map[string][]byte {
	t.Helper()
	dir := Shared(t, "corpus")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("corpus: %v", err)
	}
	messages := make(map[string][]byte, len(entries))
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".eml") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatalf("corpus: %v", err)
		}
		messages[e.Name()] = raw
	}
	if len(messages) == 0 {
		t.Fatalf("no messages in %s", dir)
	}
	return messages
}
