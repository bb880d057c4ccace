//go:build !failpoint

package failpoint_test

import (
	"testing"

	"github.com/popbridge/popbridge/internal/failpoint"
)

// Without the tag the environment has no say.
func TestHitDoesNothing(t *testing.T) {
	for _, name := range append(failpoint.Fetching(), failpoint.Sending()...) {
		t.Setenv("POPBRIDGE_FAILPOINT", name+"=1")
		failpoint.Hit(name)
	}
	if n := testing.AllocsPerRun(100, func() { failpoint.Hit(failpoint.Commit) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
