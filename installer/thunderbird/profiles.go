package thunderbird

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/popbridge/popbridge/installer/mozilla"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

const profileList = "profiles.ini"

// At returns the profile in a folder, which has to be one.
func At(dir string) (Profile, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Profile{}, err
	}
	for _, name := range []string{prefsName, "times.json", "compatibility.ini"} {
		info, err := os.Stat(filepath.Join(abs, name))
		if err != nil {
			continue
		}
		if ownership.Foreign(info) { // a file that root writes is one that Thunderbird cannot read
			return Profile{}, fault.New(fault.Denied, "the profile "+abs+" belongs to another user", "run this without sudo, as the user whose Thunderbird it is")
		}
		return Profile{Dir: abs}, nil
	}
	return Profile{}, fault.New(fault.NotFound, abs+" is no profile of Thunderbird", "Thunderbird shows the folder: Help, Troubleshooting Information, Profile Directory")
}

// Default returns the profile that Thunderbird starts with. Where it has none yet, on
// Linux the one that Add is to make. Errors are faults with a hint.
func Default() (Profile, error) {
	if c := ownership.CalledBy(os.Getenv); os.Geteuid() == 0 && c.By != "" && c.Name != "root" {
		return Profile{}, fault.New(fault.Denied, "with "+c.By+" this would set up the Thunderbird of root", "run it without "+c.By+", as "+c.Name)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return Profile{}, fault.Wrap(err, fault.Config, "the home folder is not known", "name the profile: --thunderbird=DIR")
	}
	for _, folder := range mozilla.Folders(runtime.GOOS, home) {
		if folder.Program != mozilla.Thunderbird {
			continue
		}
		profiles, err := folder.Profiles()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Profile{}, fault.Wrap(err, fault.Config, "the profiles of Thunderbird cannot be read", "run this as the user whose Thunderbird it is")
		}
		i := slices.IndexFunc(profiles, func(p mozilla.Profile) bool { return p.Default })
		if i < 0 {
			return Profile{}, fault.New(fault.NotFound, "it is not said which profile Thunderbird starts with: "+filepath.Join(folder.Dir, profileList), "name its folder: --thunderbird=DIR")
		}
		return At(profiles[i].Dir)
	}
	if program := program(); program != "" {
		root := mozilla.First(runtime.GOOS, home, mozilla.Thunderbird)
		return Profile{Dir: filepath.Join(root, "popbridge"), New: true, root: root, program: program}, nil
	}
	return Profile{}, fault.New(fault.NotFound, "no profile of Thunderbird was found", "start Thunderbird once, close it, and run this again; or name the folder: --thunderbird=DIR")
}

// program is the folder of a Thunderbird that has its profiles where the packages of
// the system have them, empty where none is found.
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
