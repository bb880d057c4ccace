package operations

import (
	"runtime"
	"runtime/debug"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// What a release sets at build time; without, what the Go tool recorded is shown.
var version, commit, date string

// Version is what `popbridge version` shows; its JSON keys are fixed.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date,omitempty"` // of the commit, RFC 3339
	Go      string `json:"go"`
	SQLite  string `json:"sqlite"`
}

// BuildVersion reads what the Go tool recorded in the binary.
func BuildVersion() Version {
	v := Version{Version: "(devel)", Commit: "unknown", Go: runtime.Version(), SQLite: mailstore.SQLiteVersion()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if version != "" {
		v.Version, v.Commit, v.Date = version, commit, date
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.Commit = s.Value
		case s.Key == "vcs.time":
			v.Date = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v.Commit += " (modified)"
		}
	}
	return v
}
