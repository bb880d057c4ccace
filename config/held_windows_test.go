package config

import (
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// A config that a scanner opens as soon as it is written is taken up all the same.
func TestWatchAFileThatIsHeldOpen(t *testing.T) {
	w := startWatching(t)
	for to := 2; to <= 3; to++ {
		write(t, w.path, port(to))
		name, err := windows.UTF16PtrFromString(w.path)
		must(t, err)
		h, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, 0, 0)
		must(t, err)
		closed := make(chan struct{})
		time.AfterFunc(time.Second, func() { _ = windows.CloseHandle(h); close(closed) })
		w.wantChange(to)
		<-closed
	}
}
