package agenttest

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/testkit"
)

// Main is TestMain of a package that runs agents: the tests have a state folder of
// their own, and leave no goroutine behind. It does not return.
func Main(m *testing.M) {
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
