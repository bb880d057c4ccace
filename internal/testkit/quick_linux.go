package testkit

import "syscall"

// memoryDisk is the folder in memory that all may use, if it has so much room.
func memoryDisk(room uint64) string {
	const dir = "/dev/shm"
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil || st.Bavail*uint64(st.Bsize) < room {
		return ""
	}
	return dir
}
