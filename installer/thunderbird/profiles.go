package thunderbird

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

const profileList = "profiles.ini"

// At returns the profile in a folder, which has to be one.
func At(dir string) (Profile, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Profile{}, err
	}
	for _, name := range []string{prefsName, "times.json", "compatibility.ini"} {
		if _, err := os.Stat(filepath.Join(abs, name)); err == nil {
			return Profile{Dir: abs}, nil
		}
	}
	return Profile{}, fault.New(fault.NotFound, abs+" is no profile of Thunderbird", "Thunderbird shows the folder: Help, Troubleshooting Information, Profile Directory")
}

// Default returns the profile that Thunderbird starts with. Where it has none yet, on
// Linux the one that Add is to make. Errors are faults with a hint.
func Default() (Profile, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Profile{}, fault.Wrap(err, fault.Config, "the home folder is not known", "name the profile: --thunderbird=DIR")
	}
	roots := rootsOf(home)
	for _, root := range roots {
		text, err := os.ReadFile(filepath.Join(root, profileList))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Profile{}, fault.Wrap(err, fault.Config, "the profiles of Thunderbird cannot be read", "run this as the user whose Thunderbird it is")
		}
		if path := defaultProfile(text); path != "" {
			if !filepath.IsAbs(path) {
				path = filepath.Join(root, filepath.FromSlash(path))
			}
			return At(path)
		}
	}
	if program := program(); program != "" {
		return Profile{Dir: filepath.Join(roots[0], "popbridge"), New: true, root: roots[0], program: program}, nil
	}
	return Profile{}, fault.New(fault.NotFound, "no profile of Thunderbird was found", "start Thunderbird once, close it, and run this again; or name the folder: --thunderbird=DIR")
}

// rootsOf lists where profiles.ini is, by the way Thunderbird was installed.
func rootsOf(home string) []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{filepath.Join(home, "Library", "Thunderbird")}
	case "windows":
		return []string{filepath.Join(os.Getenv("APPDATA"), "Thunderbird")}
	}
	return []string{
		filepath.Join(home, ".thunderbird"),
		filepath.Join(home, "snap", "thunderbird", "common", ".thunderbird"),
		filepath.Join(home, ".var", "app", "org.mozilla.Thunderbird", ".thunderbird"),
	}
}

// program is the folder of a Thunderbird that has its profiles in the first of
// rootsOf, empty where none is found.
func program() string {
	if runtime.GOOS != "linux" {
		return "" // not tried
	}
	candidates := []string{"/usr/lib/thunderbird", "/usr/lib64/thunderbird", "/opt/thunderbird"}
	if path, err := exec.LookPath("thunderbird"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = slices.Insert(candidates, 0, filepath.Dir(path))
		}
	}
	for _, dir := range candidates {
		if _, err := os.Stat(filepath.Join(dir, "platform.ini")); err == nil {
			return dir
		}
	}
	return ""
}

// defaultProfile is the path of the profile that is started: that of an installation
// ([Install...], since Thunderbird 68), else the one with Default=1, else the only one.
// It is empty where none is named. Relative paths are those of the folder of the file.
func defaultProfile(text []byte) string {
	var section, path, marked, first string
	profiles := 0
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section, path = strings.Trim(line, "[]"), ""
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(section, "Install") && key == "Default":
			return value
		case strings.HasPrefix(section, "Profile") && key == "Path":
			path = value
			if profiles++; profiles == 1 {
				first = value
			}
		case strings.HasPrefix(section, "Profile") && key == "Default" && value == "1":
			marked = path
		}
	}
	switch {
	case marked != "":
		return marked
	case profiles == 1:
		return first
	}
	return ""
}
