//go:build !windows

package installer

import "github.com/kardianos/service"

func newManager(d definition, h host) (manager, error) {
	if h.goos == "darwin" {
		return &launchctl{d, h}, nil
	}
	return service.New(nil, d.kardianos(h.goos))
}

// logonEntryOf is for Windows.
func logonEntryOf(definition) string { return "" }

// entries is for Windows.
func entries() (user, system bool) { return false, false }

// account is for Windows.
func account() string { return "" }
