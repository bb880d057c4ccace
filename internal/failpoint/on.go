//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Env is the variable that says where to die: a name, "=" and which hit.
const Env = "POPBRIDGE_FAILPOINT"

var (
	target, last = parse(os.Getenv(Env))
	hits         atomic.Int64
)

// Hit kills this process at the point and the count the environment names.
func Hit(name string) {
	if name != target || hits.Add(1) != last {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // SIGKILL: nothing is deferred, nothing flushed
	}
	select {} // nothing after the point may happen
}

// parse reads "name=n"; without a number the first hit counts. What cannot be
// read kills nothing.
func parse(text string) (name string, n int64) {
	name, count, counted := strings.Cut(text, "=")
	if !counted {
		return name, 1
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 {
		return "", 0
	}
	return name, n
}
