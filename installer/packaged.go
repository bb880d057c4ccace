package installer

import (
	"os"
	"strings"
)

// What a package for a distribution with systemd brings besides the program. It starts
// nothing by itself: a packaged unit counts as installed once it is enabled or runs. One
// that Install has written takes its place, as systemd.unit(5) orders the folders.
const (
	packagedUser    = "/usr/lib/systemd/user/" + ServiceName + ".service"
	packagedSystem  = "/usr/lib/systemd/system/" + ServiceName + ".service"
	packagedConfig  = "/etc/popbridge/config.toml"
	packagedHome    = "/var/lib/popbridge"
	packagedAccount = "popbridge" // of the packaged service of the system
)

// Packaged returns the files of a package, by their paths: the unit of a user, who has
// the config in the usual place, and the unit of the system with its account.
func Packaged() map[string]string {
	const program = "/usr/bin/popbridge"
	return map[string]string{
		packagedUser:                         systemdUnit(definition{executable: program}),
		packagedSystem:                       systemdUnit(definition{executable: program, config: packagedConfig, dataDir: packagedHome, system: true, user: packagedAccount, stateDir: packagedHome}),
		"/usr/lib/sysusers.d/popbridge.conf": "u " + packagedAccount + ` - "` + description + `" ` + packagedHome + "\n",
	}
}

// unit is the file of the service: the one that Install writes, or that of a package
// where only this is there.
func (s *Service) unit() string {
	if path := s.Path(); s.host.goos != "linux" || s.host.exists(path) || !s.packaged() {
		return path
	}
	if s.def.system {
		return packagedSystem
	}
	return packagedUser
}

// Packaged reports whether the service is the one of a package, which Uninstall only
// disables.
func (s *Service) Packaged() bool { return s.packaged() }

// packaged reports whether the service is the one of a package, and in use.
func (s *Service) packaged() bool { return s.host.packaged(s.def.system) }

func (h host) packaged(system bool) bool {
	path, argv := packagedUser, []string{"systemctl", "--user"}
	if system {
		path, argv = packagedSystem, argv[:1]
	}
	if h.goos != "linux" || h.exists((definition{system: system}).path(h)) || !h.exists(path) {
		return false
	}
	said, err := h.output(append(argv, "show", "--property=ActiveState,UnitFileState", ServiceName+".service"))
	if err != nil {
		return false // without a systemd of the user none runs
	}
	return strings.Contains(said, "UnitFileState=enabled") || !strings.Contains(said, "ActiveState=inactive")
}

// howToInstall is what to do where no service is in use.
func (h host) howToInstall() string {
	if h.goos == "linux" && h.exists(packagedUser) {
		return "the package has brought one, which is off: systemctl --user enable --now " + ServiceName + ", or for the whole system: sudo systemctl enable --now " + ServiceName
	}
	return "run popbridge install"
}

// AccountOf is the user whose service of the system has this config, where that is not
// root: the mail belongs to that user. "" where there is none.
func AccountOf(configPath string) string {
	if h := thisHost(); h.goos == "linux" && h.platform == "linux-systemd" {
		return h.accountOf(configPath)
	}
	return ""
}

func (h host) accountOf(configPath string) string {
	for _, path := range []string{definition{system: true}.path(h), packagedSystem} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		run := readUnit(text)
		if run.Config == configPath && run.User != root {
			return run.User
		}
		return ""
	}
	return ""
}
