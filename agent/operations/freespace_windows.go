package operations

import "golang.org/x/sys/windows"

// freeSpace is how many bytes this process may still write below a folder, -1 where the
// system does not say.
func freeSpace(dir string) int64 {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return -1
	}
	var free uint64
	if windows.GetDiskFreeSpaceEx(name, &free, nil, nil) != nil {
		return -1
	}
	return int64(free)
}
