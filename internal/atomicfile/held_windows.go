package atomicfile

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
)

var system = holding{refusal: refusal, held: held, sleep: time.Sleep}

func refusal(err error) (may, must bool) {
	must = errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION)
	return must || errors.Is(err, windows.ERROR_ACCESS_DENIED), must
}

// held reports that the file cannot be opened to be used by no one else.
func held(path string) bool {
	return errors.Is(open(path, windows.DELETE, 0), windows.ERROR_SHARING_VIOLATION)
}

func openable(path string) error {
	return open(path, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE)
}

// open opens a file or folder and closes it again.
func open(path string, access, share uint32) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return err
	}
	return windows.CloseHandle(h)
}
