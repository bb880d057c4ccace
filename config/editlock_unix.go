//go:build unix

package config

import (
	"os"

	"github.com/gofrs/flock"
)

// editLock is that of the folder of a config, in which nothing is left behind.
func editLock(dir string) *flock.Flock { return flock.New(dir, flock.SetFlag(os.O_RDONLY)) }
