package operations

import (
	"os"
	"strings"

	"golang.org/x/sys/windows"
)

// sameDisk reports whether two folders are on one volume.
func sameDisk(a, b string) bool {
	volume := func(path string) string {
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		name, err := windows.UTF16PtrFromString(path)
		if err != nil {
			return ""
		}
		root := make([]uint16, len(path)+windows.MAX_PATH)
		if err := windows.GetVolumePathName(name, &root[0], uint32(len(root))); err != nil {
			return ""
		}
		return windows.UTF16ToString(root)
	}
	first, second := volume(a), volume(b)
	return first != "" && strings.EqualFold(first, second)
}
