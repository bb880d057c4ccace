package agent

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/testkit"
)

// TestMain gives the tests a state folder of their own.
func TestMain(m *testing.M) {
	testkit.Quick()
	testkit.Overlap()
	dir, err := os.MkdirTemp("", "pbstate")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("XDG_STATE_HOME", dir)
	_ = os.Unsetenv("STATE_DIRECTORY")
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Microsoft/go-winio.ioCompletionProcessor"), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
