package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// system is what the defaults depend on, so that tests can be on any system.
type system struct {
	goos   string
	getenv func(string) string
	home   string // empty when unknown
}

func thisSystem() system {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // a service without HOME: paths below it are reported where they are used
	}
	return system{goos: runtime.GOOS, getenv: os.Getenv, home: home}
}

// DefaultPath returns where the configuration file is when nobody names one,
// or "" when this user has no home folder:
//
//	Linux    $XDG_CONFIG_HOME/popbridge/config.toml, else ~/.config/popbridge/config.toml
//	macOS    ~/Library/Application Support/popbridge/config.toml
//	Windows  %AppData%\popbridge\config.toml
func DefaultPath() string { return thisSystem().configPath() }

// DefaultDataDir returns where mail is kept when the file does not say, or ""
// when this user has no home folder:
//
//	Linux    $XDG_DATA_HOME/popbridge, else ~/.local/share/popbridge
//	macOS    ~/Library/Application Support/popbridge
//	Windows  %LocalAppData%\popbridge
func DefaultDataDir() string { return thisSystem().dataDir() }

func (s system) configPath() string {
	dir := ""
	switch s.goos {
	case "windows":
		dir = s.getenv("AppData")
	case "darwin", "ios":
		dir = s.below("Library", "Application Support")
	default:
		dir = s.xdg("XDG_CONFIG_HOME", ".config")
	}
	if dir == "" {
		return ""
	}
	return s.join(dir, "popbridge", "config.toml")
}

func (s system) dataDir() string {
	dir := ""
	switch s.goos {
	case "windows":
		dir = s.getenv("LocalAppData")
	case "darwin", "ios":
		dir = s.below("Library", "Application Support")
	default:
		dir = s.xdg("XDG_DATA_HOME", ".local", "share")
	}
	if dir == "" {
		return ""
	}
	return s.join(dir, "popbridge")
}

// xdg follows the XDG base directory specification: a relative path in the
// variable is to be ignored.
func (s system) xdg(variable string, fallback ...string) string {
	if dir := s.getenv(variable); strings.HasPrefix(dir, "/") {
		return dir
	}
	return s.below(fallback...)
}

func (s system) below(elem ...string) string {
	if s.home == "" {
		return ""
	}
	return s.join(append([]string{s.home}, elem...)...)
}

func (s system) join(elem ...string) string {
	if s.goos == "windows" {
		return strings.Join(elem, `\`)
	}
	return strings.Join(elem, "/")
}

// resolve makes a path from the file absolute: ~ is the home folder, anything
// relative starts at the folder of the configuration file, because a service
// has no working folder that means anything.
func (s system) resolve(dir, path string) (string, *mistake) {
	rest, tilde := strings.CutPrefix(path, "~")
	switch {
	case strings.ContainsRune(path, 0):
		return "", &mistake{"the path contains a NUL character", ""}
	case tilde && (rest == "" || rest[0] == '/' || rest[0] == filepath.Separator):
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
