package installer

import (
	"path"
	"strings"
	"unicode"

	"github.com/kardianos/service"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

const (
	// LaunchLabel is how launchd calls the service: the name of a domain,
	// backwards.
	LaunchLabel = "io.github.popbridge"

	// LogVariable names the file that `popbridge run` logs to instead of stderr, and
	// begins again when it is long: launchd's own never is.
	LogVariable = "POPBRIDGE_LOG_FILE"

	displayName = "popbridge"
	description = "POP3 accounts as one local IMAP mailbox"

	// Homepage is where popbridge is described and released.
	Homepage = "https://github.com/popbridge/popbridge"

	root = "root"

	// stopSeconds is a little more than the agent gives itself to drain.
	stopSeconds = 15
)

// definition is everything that the unit, property list or service entry says.
type definition struct {
	executable string
	config     string
	dataDir    string // "" where it is not known
	stateDir   string // on Windows, and of an account that a package makes
	hasDataDir bool
	system     bool
	user       string // of a system service; empty: root on macOS, on Windows its own account
	log        string // of the agent, on macOS
	systemd    int    // its version, 0 where it is not known
	env        []variable
}

// variable is an environment variable that differs between the shell in which
// the user tried popbridge and what a service gets.
type variable struct{ name, value string }

// define makes and checks a definition.
func define(o Options, h host) (definition, error) {
	if o.Executable == "" {
		path, err := thisExecutable()
		if err != nil {
			return definition{}, err
		}
		o.Executable = path
	}
	d := definition{executable: o.Executable, config: o.ConfigPath, dataDir: o.DataDir, stateDir: o.StateDir, hasDataDir: o.HasDataDir, system: o.System}
	if o.System && h.goos != "windows" {
		d.user = h.caller().Name
	}
	if o.System && h.goos == "linux" && d.user == "" {
		d.user = root // named, because systemd gives a home folder only to a user who is
	}
	d.log = h.logFile(o.System)
	if h.goos == "linux" {
		d.systemd = h.systemdVersion()
	}
	var names []string
	switch {
	case h.goos == "windows" && !o.System:
	case h.goos == "windows":
		names = []string{"LocalAppData", "UserProfile"} // where the data folder and ~ are
	case !o.System && h.goos == "darwin":
		names = []string{"PATH"} // for password_command: Homebrew is not in launchd's
	case !o.System:
		names = []string{"PATH", "XDG_DATA_HOME", "XDG_STATE_HOME"}
	case d.user != "": // where sudo has kept them
		names = []string{"XDG_DATA_HOME", "XDG_STATE_HOME"}
	}
	for _, name := range names {
		if value := h.getenv(name); value != "" && printable(value) {
			d.env = append(d.env, variable{name, value})
		}
	}
	if d.log != "" {
		d.env = append(d.env, variable{LogVariable, d.log})
	}
	if h.goos == "windows" && o.System {
		d.env = append(d.env, variable{ownership.InstallerVariable, h.account})
	}
	return d, d.check(h.goos)
}

func (d definition) check(goos string) error {
	paths := []struct{ what, path string }{{"program", d.executable}, {"config file", d.config}}
	if d.dataDir != "" {
		paths = append(paths, struct{ what, path string }{"data folder", d.dataDir})
	}
	for _, p := range paths {
		switch {
		case !absolute(p.path, goos):
			return fault.New(fault.Config, "the path of the "+p.what+" is not absolute: "+fault.Quote(p.path), "a service has no working folder: write the whole path")
		case !printable(p.path):
			return fault.New(fault.Config, "the path of the "+p.what+" contains a control character: "+fault.Quote(p.path), "move it")
		}
	}
	if goos == "linux" && strings.ContainsAny(d.executable, "'\"\\") {
		return fault.New(fault.Config, "systemd runs no program with quotes or a backslash in its path: "+fault.Quote(d.executable), "move it")
	}
	if d.user != "" && strings.Trim(d.user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		return fault.New(fault.Config, "this is not the name of a user: "+fault.Quote(d.user), "the service of the whole system runs as the user who calls sudo, doas or pkexec")
	}
	return nil
}

// absolute is filepath.IsAbs for any system.
func absolute(path, goos string) bool {
	if goos == "windows" {
		return len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') || strings.HasPrefix(path, `\\`)
	}
	return strings.HasPrefix(path, "/")
}

func printable(s string) bool {
	return strings.ToValidUTF8(s, "") == s && strings.IndexFunc(s, unicode.IsControl) < 0
}

func (d definition) arguments() []string {
	if d.config == "" { // the usual one of the user
		return []string{"run"}
	}
	return []string{"run", "--config", d.config}
}

// path is where the file is; kardianos/service puts systemd's there.
func (d definition) path(h host) string {
	switch {
	case h.goos == "windows":
		return ""
	case h.goos == "darwin" && d.system:
		return "/Library/LaunchDaemons/" + LaunchLabel + ".plist"
	case h.goos == "darwin":
		return path.Join(h.home, "Library/LaunchAgents", LaunchLabel+".plist")
	case d.system:
		return "/etc/systemd/system/" + ServiceName + ".service"
	}
	return path.Join(h.home, ".config/systemd/user", ServiceName+".service")
}

// kardianos returns the configuration for kardianos/service. On Linux it holds the whole text as a template without any action in it: the renderers
// write every { as an escape.
func (d definition) kardianos(goos string) *service.Config {
	if goos == "windows" {
		return windowsEntry(d)
	}
	c := &service.Config{Name: ServiceName, DisplayName: displayName, Description: description, Executable: d.executable, Arguments: d.arguments(), UserName: d.user}
	c.Option = service.KeyValue{"UserService": !d.system}
	c.Option["SystemdScript"] = systemdUnit(d)
	return c
}
