//go:build !failpoint

package failpoint

import "testing"

// Without the tag the environment has no say.
func TestHitDoesNothing(t *testing.T) {
	for _, name := range All() {
		t.Setenv("POPBRIDGE_FAILPOINT", name+"=1")
		Hit(name)
	}
	if n := testing.AllocsPerRun(100, func() { Hit(Commit) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
