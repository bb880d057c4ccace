//go:build unix

package config

import (
	"os"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// A config that others can change is refused. The hint says how to end that, and no
// octet of the file changes with it.
func TestWatchAModeThatIsCorrected(t *testing.T) {
	w := startWatching(t)
	must(t, os.Chmod(w.path, 0o666))
	w.next()
	if _, err := Load(w.path); !fault.Is(err, fault.Denied) {
		t.Fatalf("%v", err)
	}
	must(t, os.Chmod(w.path, 0o600))
	w.wantChange(1)
}

// A folder that was moved away and back is the same one, which is watched no longer: it
// is watched again at the next look.
func TestWatchAFolderThatCameBack(t *testing.T) {
	dir := t.TempDir() + "/config"
	must(t, os.Mkdir(dir, 0o700))
	write(t, dir+"/config.toml", port(1))
	w := watch(t, dir+"/config.toml", 50*time.Millisecond)
	must(t, os.Rename(dir, dir+".away"))
	w.next()
	must(t, os.Rename(dir+".away", dir))
	w.next()
	write(t, w.path, port(2))
	w.wantChange(2)
}
