package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unicode"
)

// system is what the defaults depend on, so that tests can be on any system.
type system struct {
	goos   string
	getenv func(string) string
	home   string // empty when unknown
	// addresses are those of the machine, for hints.
	addresses func() []netip.Addr
}

func thisSystem() system {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // a service without HOME: paths below it are reported where they are used
	}
	return system{goos: runtime.GOOS, getenv: os.Getenv, home: home, addresses: localAddresses}
}

// DefaultPath returns where the configuration file is when no one names one,
// or "" when this user has no home folder:
//
//	Linux    $XDG_CONFIG_HOME/popbridge/config.toml, else ~/.config/popbridge/config.toml
//	macOS    ~/Library/Application Support/popbridge/config.toml
//	Windows  %AppData%\popbridge\config.toml
func DefaultPath() string { return thisSystem().configPath() }

func (s system) configPath() string {
	return s.join(s.folder("AppData", "XDG_CONFIG_HOME", ".config"), "config.toml")
}

// dataDir is where mail is kept when the file does not say, or "" when this user
// has no home folder:
//
//	Linux    $XDG_DATA_HOME/popbridge, else ~/.local/share/popbridge
//	macOS    ~/Library/Application Support/popbridge
//	Windows  %LocalAppData%\popbridge
func (s system) dataDir() string {
	return s.folder("LocalAppData", "XDG_DATA_HOME", ".local", "share")
}

// StateDir is where the agent keeps what it knows about its mail stores outside
// of them:
//
//	systemd  $STATE_DIRECTORY
//	Linux    $XDG_STATE_HOME/popbridge, else ~/.local/state/popbridge
//	macOS    ~/Library/Application Support/popbridge-state
//	Windows  %LocalAppData%\popbridge-state
//
// It is never the data folder, which may be put back as a whole. Without a home
// folder it is the one of the config file.
func StateDir(configPath string) string { return thisSystem().stateDir(configPath) }

// StateDirOf is StateDir for a service that runs as the user with that home folder,
// "" for one without, and has no variables of its own.
func StateDirOf(home, configPath string) string {
	return system{goos: runtime.GOOS, getenv: func(string) string { return "" }, home: home}.stateDir(configPath)
}

func (s system) stateDir(configPath string) string {
	// systemd.exec(5): several folders are separated by colons.
	if dir, _, _ := strings.Cut(s.getenv("STATE_DIRECTORY"), ":"); s.goos == "linux" && strings.HasPrefix(dir, "/") {
		return dir
	}
	dir := s.folder("LocalAppData", "XDG_STATE_HOME", ".local", "state")
	switch {
	case dir == "":
		return s.folderOf(configPath)
	case s.goos == "windows", s.goos == "darwin", s.goos == "ios":
		return dir + "-state"
	}
	return dir
}

// folder is where this user's files of one sort are, or "": named by a variable
// of Windows, or of XDG, with what takes its place below the home folder.
func (s system) folder(windows, xdg string, fallback ...string) string {
	switch s.goos {
	case "windows":
		return s.join(s.getenv(windows), "popbridge")
	case "darwin", "ios":
		return s.join(s.home, "Library", "Application Support", "popbridge")
	}
	// XDG base directory specification: a relative path is to be ignored.
	if dir := s.getenv(xdg); strings.HasPrefix(dir, "/") {
		return s.join(dir, "popbridge")
	}
	return s.join(s.home, append(fallback, "popbridge")...)
}

// join makes a path below dir, or "" where that is not known.
func (s system) join(dir string, elem ...string) string {
	separator := "/"
	switch {
	case dir == "":
		return ""
	case s.goos == "windows":
		separator = `\`
	}
	return strings.Join(append([]string{dir}, elem...), separator)
}

// folderOf is filepath.Dir for a path of s.
func (s system) folderOf(path string) string {
	at := strings.LastIndexAny(path, s.separators())
	switch {
	case at < 0:
		return "."
	case at == 0, path[at-1] == ':':
		return path[:at+1]
	}
	return path[:at]
}

// separators are the characters that end the name of a folder.
func (s system) separators() string {
	if s.goos == "windows" {
		return `\/`
	}
	return "/"
}

// resolve makes a path from the file absolute: ~ is the home folder, anything
// relative starts at the folder of the configuration file, because a service
// has no working folder that means anything.
func (s system) resolve(dir, path string) (string, *mistake) {
	if m := s.misspelt(dir, path); m != nil {
		return "", m
	}
	rest, tilde := strings.CutPrefix(path, "~")
	switch {
	case tilde && (rest == "" || strings.ContainsRune(s.separators(), rune(rest[0]))):
		if s.home == "" {
			return "", &mistake{"~ cannot be expanded: the home folder of this user is not known", "write the whole path"}
		}
		return filepath.Join(s.home, rest), nil
	case tilde:
		return "", &mistake{"only ~ itself is expanded, not " + quote(path), "write the whole path"}
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	}
	return filepath.Join(dir, path), nil
}

// misspelt reports a path that would be another folder than the one that is meant.
func (s system) misspelt(dir, path string) *mistake {
	if m := variable(path); m != nil {
		return s.expanded(path, m)
	}
	if strings.ContainsRune(path, 0) {
		return &mistake{"the path contains a NUL character", ""}
	}
	if strings.IndexFunc(path, unicode.IsControl) >= 0 {
		return s.withControls(path)
	}
	if s.goos != "windows" || path == "" {
		return nil
	}
	isSeparator := func(at int) bool { return at < len(path) && (path[at] == '\\' || path[at] == '/') }
	switch {
	case len(path) > 1 && path[1] == ':' && !isSeparator(2):
		return &mistake{quote(path) + " depends on the working folder of drive " + path[:2], "write " + literal(path[:2]+`\`+path[2:])}
	case isSeparator(0) && !isSeparator(1):
		drive := "C:"
		if len(dir) > 1 && dir[1] == ':' {
			drive = dir[:2]
		}
		return &mistake{quote(path) + " does not say which drive is meant", "write " + literal(drive+path)}
	}
	return nil
}

// withControls reports a path with a tab, say: in "D:\temp\new" TOML reads \t and
// \n as such.
func (s system) withControls(path string) *mistake {
	const text = "the path contains a control character"
	meant := strings.NewReplacer("\b", `\b`, "\t", `\t`, "\n", `\n`, "\f", `\f`, "\r", `\r`, "\x1b", `\e`).Replace(path)
	if strings.IndexFunc(meant, unicode.IsControl) >= 0 || s.goos != "windows" {
		return &mistake{text, "write it without one"}
	}
	return &mistake{text + `: inside "..." a backslash is written twice`, "write " + literal(meant)}
}

// expanded adds to m what the variable at the start of path stands for.
func (s system) expanded(path string, m *mistake) *mistake {
	at := windowsVariable.FindStringIndex(path)
	if s.goos != "windows" || at == nil || at[0] != 0 || strings.Contains(m.hint, "~") {
		return m
	}
	if value := s.getenv(path[1 : at[1]-1]); value != "" {
		m.hint = "write " + literal(value+path[at[1]:])
	}
	return m
}

// literal quotes a path of Windows as TOML, with single backslashes where that can be.
func literal(path string) string {
	if strings.Contains(path, "'") {
		return quote(path)
	}
	return "'" + path + "'"
}

var (
	shellVariable   = regexp.MustCompile(`(?:^|[/\\])(\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$[A-Z_][A-Z0-9_]*)(?:[/\\]|$)`)
	windowsVariable = regexp.MustCompile(`%[A-Za-z_()][A-Za-z0-9_()]*%`)
)

// variable reports a variable in a path, which would be a folder of that name.
func variable(path string) *mistake {
	name, start := "", 0
	if at := shellVariable.FindStringSubmatchIndex(path); at != nil {
		name, start = path[at[2]:at[3]], at[2]
	} else if at := windowsVariable.FindStringIndex(path); at != nil {
		name, start = path[at[0]:at[1]], at[0]
	}
	if name == "" {
		return nil
	}
	hint := "write the whole path"
	switch strings.ToUpper(strings.Trim(name, "${}%")) {
	case "HOME", "USERPROFILE":
		if start == 0 {
			hint = "write " + quote("~"+path[len(name):])
		}
	}
	return &mistake{"the variable " + quote(name) + " is not replaced in a path", hint}
}

// Unexpanded says what a shell would make of an argument of password_command and
// popbridge does not, as no shell is involved; "" for nothing.
func Unexpanded(argument string) string {
	switch {
	case argument == "~" || strings.HasPrefix(argument, "~/"):
		return "~"
	case variable(argument) != nil:
		return "variables"
	}
	return ""
}
