package trust

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// databaseFile is there in every profile that was used once.
const databaseFile = "cert9.db"

// folders are where Mozilla's programs keep their profiles, below the home folder:
// of packages of the system, of snap and of flatpak.
var folders = map[string][]struct{ program, pattern string }{
	"linux": {
		{"Thunderbird", ".thunderbird"}, {"Thunderbird", "snap/*/common/.thunderbird"}, {"Thunderbird", ".var/app/*/.thunderbird"},
		{"Firefox", ".mozilla/firefox"}, {"Firefox", ".config/mozilla/firefox"},
		{"Firefox", "snap/*/common/.mozilla/firefox"}, {"Firefox", ".var/app/*/.mozilla/firefox"}, {"Firefox", ".var/app/*/config/mozilla/firefox"},
	},
	"darwin": {{"Thunderbird", "Library/Thunderbird"}, {"Firefox", "Library/Application Support/Firefox"}},
	"windows": {
		{"Thunderbird", "AppData/Roaming/Thunderbird"}, {"Firefox", "AppData/Roaming/Mozilla/Firefox"},
		{"Thunderbird", "AppData/Local/Packages/Mozilla*/LocalCache/Roaming/Thunderbird"},
		{"Firefox", "AppData/Local/Packages/Mozilla*/LocalCache/Roaming/Mozilla/Firefox"},
	},
}

// databases returns the NSS databases of the user.
func (h host) databases() []Store {
	var stores []Store
	seen := map[string]bool{}
	add := func(name, dir string, running func() bool) {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil || seen[real] || !exists(filepath.Join(real, databaseFile)) {
			return
		}
		seen[real] = true
		stores = append(stores, Store{Name: name, Path: dir, place: database{h, real}, running: running})
	}
	for _, f := range folders[h.goos] {
		for _, folder := range matches(h.home, f.pattern) {
			for _, p := range profilesIn(folder) {
				add(f.program+", profile "+p.name, p.dir, func() bool { return locked(filepath.Join(p.dir, lockFile)) })
			}
		}
	}
	if h.goos == "linux" {
		add("Chromium and its like", filepath.Join(h.home, ".pki", "nssdb"), nil)
	}
	return stores
}

type profile struct{ name, dir string }

// profilesIn returns the profiles that profiles.ini names, which may be anywhere, and
// what is in the folder besides.
func profilesIn(folder string) []profile {
	data, _ := os.ReadFile(filepath.Join(folder, "profiles.ini")) // without it there are folders
	found := readProfiles(data, folder)
	for _, pattern := range []string{"*", "Profiles/*"} {
		for _, file := range matches(folder, pattern+"/"+databaseFile) {
			dir := filepath.Dir(file)
			if !slices.ContainsFunc(found, func(p profile) bool { return p.dir == dir }) {
				found = append(found, profile{filepath.Base(dir), dir})
			}
		}
	}
	return found
}

// readProfiles reads profiles.ini: a section [ProfileN] for each, with Name, Path and
// IsRelative, which says that the path begins at the folder of the file.
func readProfiles(data []byte, folder string) (found []profile) {
	section := map[string]string{}
	end := func() {
		if dir := section["Path"]; dir != "" && section["Name"] != "" {
			if dir = filepath.FromSlash(dir); section["IsRelative"] == "1" {
				dir = filepath.Join(folder, dir)
			}
			found = append(found, profile{section["Name"], filepath.Clean(dir)})
		}
		section = map[string]string{}
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			end()
		} else if key, value, ok := strings.Cut(line, "="); ok {
			section[key] = value
		}
	}
	end()
	return found
}

// matches returns the paths below a folder, of whatever name, that match a pattern with
// slashes.
func matches(folder, pattern string) (paths []string) {
	found, _ := fs.Glob(os.DirFS(folder), pattern) // the patterns are good
	for _, path := range found {
		paths = append(paths, filepath.Join(folder, filepath.FromSlash(path)))
	}
	return paths
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
