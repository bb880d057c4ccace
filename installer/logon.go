package installer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"

	"github.com/popbridge/popbridge/internal/fault"
)

// BackgroundCommand is the verb that Windows runs when the user logs on: `run` without
// a window.
const BackgroundCommand = "background"

// logonCommand is the command line of the entry below the key Run. Paths of Windows
// contain no quotes.
func logonCommand(d definition) string {
	return `"` + d.executable + `" ` + BackgroundCommand + ` --config "` + d.config + `"`
}

// maxRun is how long a command below the key Run can be, in characters (UTF-16).
const maxRun = 260

// fitsRun refuses what Windows would not start at log-on.
func (s *Service) fitsRun() error {
	if s.host.goos != "windows" || s.def.system {
		return nil
	}
	if n := len(utf16.Encode([]rune(logonCommand(s.def)))); n > maxRun {
		return fault.New(fault.Config, fmt.Sprintf("Windows starts no program at log-on whose command has more than %d characters; with the paths of program and config this one has %d", maxRun, n),
			"move the program, or the config, to a folder with a shorter path")
	}
	return nil
}

// stopEvent is the name of what tells the agent of a config, in the same session, to
// stop. Windows compares paths without case.
func stopEvent(config string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(config)))
	return `Local\popbridge-` + hex.EncodeToString(sum[:16])
}

// logonConfig is the config that a command line by logonCommand names, or "".
func logonConfig(command string) string {
	_, rest, ok := strings.Cut(command, ` --config "`)
	if !ok {
		return ""
	}
	return strings.TrimSuffix(rest, `"`)
}

// takeInstalled makes the config the one that was installed to start at log-on,
// whoever asks.
func (d *definition) takeInstalled() {
	if config := logonConfig(logonEntryOf(*d)); config != "" {
		d.config = config
	}
}

// ownsLogon reports whether the entry below the key Run starts this program. Windows
// compares paths without case.
func (s *Service) ownsLogon() bool {
	program, _, ok := strings.Cut(strings.TrimPrefix(logonEntryOf(s.def), `"`), `"`)
	return ok && strings.EqualFold(program, s.def.executable)
}

// TakeOver makes this program the one that is started at log-on on Windows, with the
// config of the entry that is there, else that of the options. Unlike Install it takes
// the place of an entry, and needs no config yet: it makes the folder for one, so that
// an agent that waits sees it come.
func (s *Service) TakeOver() error {
	if err := s.fitsRun(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.def.config), 0o700); err != nil {
		return s.explain(err, "the folder for the config could not be made")
	}
	return s.explain(s.manager.Install(), "the entry that starts popbridge at log-on could not be written")
}

// GiveUp stops the agent and removes the entry that starts it at log-on on Windows, if
// that starts this program. The folder of the config goes where it is empty.
func (s *Service) GiveUp() error {
	if !s.ownsLogon() {
		return nil
	}
	err := s.Uninstall()
	_ = os.Remove(filepath.Dir(s.def.config)) // which fails where it is not empty
	return err
}
