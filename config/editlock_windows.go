package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// editLock is a file for the folder of a config, which cannot be locked itself.
func editLock(dir string) *flock.Flock {
	name := fmt.Sprintf("popbridge-%.8x.lock", sha256.Sum256([]byte(strings.ToLower(dir))))
	return flock.New(filepath.Join(os.TempDir(), name), flock.SetPermissions(0o600))
}
