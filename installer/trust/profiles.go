package trust

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/popbridge/popbridge/installer/mozilla"
)

const (
	// databaseFile is there in every profile that was used once.
	databaseFile = "cert9.db"
	// settingsFile is there also in one that was made for the first use.
	settingsFile = "prefs.js"
)

// databases returns the NSS databases of the user.
func (h host) databases() []Store {
	var stores []Store
	seen := map[string]bool{}
	add := func(name, dir string, running func() bool) {
		folder, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[folder] || !exists(filepath.Join(folder, databaseFile)) && !exists(filepath.Join(folder, settingsFile)) {
			return
		}
		seen[folder] = true
		stores = append(stores, Store{Name: name, Path: dir, place: database{h, folder}, running: running})
	}
	for _, f := range mozilla.Folders(h.goos, h.home) {
		for _, p := range profilesIn(f) {
			add(f.Program+", profile "+p.Name, p.Dir, func() bool { return mozilla.InUse(p.Dir) })
		}
	}
	if h.goos == "linux" {
		add("Chromium and its like", filepath.Join(h.home, ".pki", "nssdb"), nil)
	}
	return stores
}

// profilesIn returns the profiles that profiles.ini names, which may be anywhere, and
// what is in the folder besides.
func profilesIn(folder mozilla.Folder) []mozilla.Profile {
	found, _ := folder.Profiles() // where it cannot be read there are folders
	for _, pattern := range []string{"*", "Profiles/*"} {
		for _, file := range mozilla.Matches(folder.Dir, pattern+"/"+databaseFile) {
			dir := filepath.Dir(file)
			if !slices.ContainsFunc(found, func(p mozilla.Profile) bool { return p.Dir == dir }) {
				found = append(found, mozilla.Profile{Name: filepath.Base(dir), Dir: dir})
			}
		}
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
