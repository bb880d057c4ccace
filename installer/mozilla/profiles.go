// Package mozilla finds the profiles of Thunderbird and Firefox.
package mozilla

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The programs.
const (
	Thunderbird = "Thunderbird"
	Firefox     = "Firefox"
)

// A Folder is where a program keeps profiles.ini. There may be several, of packages of
// the system, of snap and of flatpak.
type Folder struct{ Program, Dir string }

// patterns are below the home folder.
var patterns = map[string][]Folder{
	"linux": {
		{Thunderbird, ".thunderbird"}, {Thunderbird, "snap/*/common/.thunderbird"}, {Thunderbird, ".var/app/*/.thunderbird"},
		{Firefox, ".mozilla/firefox"}, {Firefox, ".config/mozilla/firefox"},
		{Firefox, "snap/*/common/.mozilla/firefox"}, {Firefox, ".var/app/*/.mozilla/firefox"}, {Firefox, ".var/app/*/config/mozilla/firefox"},
	},
	"darwin": {{Thunderbird, "Library/Thunderbird"}, {Firefox, "Library/Application Support/Firefox"}},
	"windows": {
		{Thunderbird, "AppData/Roaming/Thunderbird"}, {Firefox, "AppData/Roaming/Mozilla/Firefox"},
		{Thunderbird, "AppData/Local/Packages/Mozilla*/LocalCache/Roaming/Thunderbird"},
		{Firefox, "AppData/Local/Packages/Mozilla*/LocalCache/Roaming/Mozilla/Firefox"},
	},
}

// Folders returns the folders that are there, in the order in which the programs are
// usually installed. goos is that of the runtime.
func Folders(goos, home string) []Folder {
	var found []Folder
	for _, p := range patterns[goos] {
		for _, dir := range Matches(home, p.Dir) {
			found = append(found, Folder{p.Program, dir})
		}
	}
	return found
}

// First is where the program keeps its profiles when it is started for the first time,
// as the system's own packages have it.
func First(goos, home, program string) string {
	for _, p := range patterns[goos] {
		if p.Program == program {
			return filepath.Join(home, filepath.FromSlash(p.Dir))
		}
	}
	return ""
}

// Profile is one that profiles.ini names.
type Profile struct {
	Name, Dir string
	Default   bool // the program starts with it
}

// Profiles reads profiles.ini: a section [ProfileN] for each, with Name, Path and
// IsRelative, which says that the path begins at the folder of the file. The program
// starts with that of its installation ([Install...], since version 67), else with the
// one that has Default=1, else with the only one; where none is named no profile is
// the default. A file that is missing is fs.ErrNotExist.
func (f Folder) Profiles() ([]Profile, error) {
	text, err := os.ReadFile(filepath.Join(f.Dir, "profiles.ini"))
	if err != nil {
		return nil, err
	}
	return read(text, f.Dir), nil
}

func read(text []byte, folder string) (found []Profile) {
	section, values := "", map[string]string{}
	installed := ""
	end := func() {
		dir := filepath.FromSlash(values["Path"])
		switch {
		case strings.HasPrefix(section, "Install") && installed == "":
			if installed = filepath.FromSlash(values["Default"]); installed != "" && !filepath.IsAbs(installed) {
				installed = filepath.Join(folder, installed)
			}
		case strings.HasPrefix(section, "Profile") && dir != "":
			if values["IsRelative"] != "0" && !filepath.IsAbs(dir) {
				dir = filepath.Join(folder, dir)
			}
			found = append(found, Profile{values["Name"], filepath.Clean(dir), values["Default"] == "1"})
		}
		clear(values)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			end()
			section = strings.Trim(line, "[]")
		} else if key, value, ok := strings.Cut(line, "="); ok {
			values[key] = value
		}
	}
	end()
	start := slices.IndexFunc(found, func(p Profile) bool { return p.Dir == installed })
	if start < 0 {
		start = slices.IndexFunc(found, func(p Profile) bool { return p.Default })
	}
	if start < 0 && len(found) == 1 {
		start = 0
	}
	for i := range found {
		found[i].Default = i == start
	}
	return found
}

// Matches returns the paths below a folder, of whatever name, that match a pattern with
// slashes, which must be a good one.
func Matches(folder, pattern string) (paths []string) {
	found, _ := fs.Glob(os.DirFS(folder), pattern)
	for _, path := range found {
		paths = append(paths, filepath.Join(folder, filepath.FromSlash(path)))
	}
	return paths
}
