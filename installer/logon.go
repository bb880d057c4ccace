package installer

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// BackgroundCommand is the verb that Windows runs when the user logs on: `run` without
// a window.
const BackgroundCommand = "background"

// logonCommand is the command line of the entry below the key Run. Paths of Windows
// contain no quotes.
func logonCommand(d definition) string {
	return `"` + d.executable + `" ` + BackgroundCommand + ` --config "` + d.config + `"`
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
