//go:build !windows

package operations

import (
	"os"
	"syscall"
)

// sameDisk reports whether two folders are on one file system.
func sameDisk(a, b string) bool {
	device := func(path string) (uint64, bool) {
		info, err := os.Stat(path)
		if err != nil {
			return 0, false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return 0, false
		}
		return uint64(st.Dev), true
	}
	first, ok := device(a)
	second, also := device(b)
	return ok && also && first == second
}
