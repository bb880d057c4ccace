package mozilla

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// InUse reports whether the program runs with the profile: it has parent.lock open and
// shares it with no one (nsProfileLock.cpp).
func InUse(profile string) bool {
	path, err := windows.UTF16PtrFromString(filepath.Join(profile, "parent.lock"))
	if err != nil {
		return false
	}
	f, err := windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, 0, 0)
	if err == nil {
		_ = windows.CloseHandle(f)
	}
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}
