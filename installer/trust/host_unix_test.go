//go:build unix

package trust

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What a program leaves running is not waited for: a hook of update-ca-certificates,
// say.
func TestRunDoesNotWaitForWhatStays(t *testing.T) {
	ended := filepath.Join(t.TempDir(), "ended")
	out, err := run(t.Context(), nil, "/bin/sh", "-c", `(sleep 20; : >"$0") & echo $$`, ended)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ended); err == nil {
		t.Error("it was waited for")
	}
	group, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}
