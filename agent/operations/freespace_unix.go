//go:build !windows

package operations

import "syscall"

// freeSpace is how many bytes this process may still write below a folder, -1 where the
// system does not say.
func freeSpace(dir string) int64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
