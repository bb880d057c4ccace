package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Match returns the paths of what is in dir and has a name that matches pattern (see
// filepath.Match); none where there is no such folder. Unlike filepath.Glob it takes
// dir as it is: a folder may be called "mail [old]".
func Match(dir, pattern string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		match, err := filepath.Match(pattern, e.Name())
		if err != nil {
			return nil, err
		}
		if match {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}
