package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// TestSharedCases plays cases from public bug reports, where they are at hand:
// each is a script with a POP3 server of its own that runs the real program and
// exits 0 when it behaves as expected.
func TestSharedCases(t *testing.T) {
	rig.Need(t, "python3")
	scripts, err := filepath.Glob(filepath.Join(testkit.Shared(t, "cases"), "[0-9]*.py"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".py"), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "python3", "-B", script)
			cmd.Env = append(os.Environ(), "POPBRIDGE="+binary)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
