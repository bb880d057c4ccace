//go:build unix

package control

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByUs reports whether this user made the file. The superuser may use
// any socket.
func ownedByUs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	uid := os.Geteuid()
	return ok && (uid == 0 || int(st.Uid) == uid)
}
