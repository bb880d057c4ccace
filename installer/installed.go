package installer

import (
	"html"
	"os"
	"regexp"
	"strings"
)

// What the files of systemd.go and launchd.go say of the service.
var (
	unitConfig  = regexp.MustCompile(`(?m)^ExecStart=.* run --config (.*)$`)
	unitUser    = regexp.MustCompile(`(?m)^User=(.*)$`)
	unitState   = regexp.MustCompile(`(?m)^Environment=("?XDG_STATE_HOME=.*)$`)
	plistConfig = regexp.MustCompile(`<string>--config</string>\s*<string>(.*)</string>`)
	plistUser   = regexp.MustCompile(`<key>UserName</key>\s*<string>(.*)</string>`)
)

// A Run is how the service runs.
type Run struct {
	Config string // file
	User   string // "": whoever has installed it for himself; or root, for the system
	System bool
	// StateHome is its XDG_STATE_HOME, "" where it has none.
	StateHome string
}

// Runs returns how the service runs: as it was installed, or as it would be where
// that cannot be read.
func (s *Service) Runs() Run {
	run := Run{Config: s.def.config, User: s.def.user, System: s.def.system}
	text, err := os.ReadFile(s.Path())
	if s.Path() == "" || err != nil {
		return run
	}
	first := func(re *regexp.Regexp) string {
		if m := re.FindSubmatch(text); m != nil {
			return string(m[1])
		}
		return ""
	}
	config := systemdUnquote(first(unitConfig))
	run.User = first(unitUser)
	run.StateHome = strings.TrimPrefix(systemdUnquote(first(unitState)), "XDG_STATE_HOME=")
	if s.host.goos == "darwin" {
		config, run.User = html.UnescapeString(first(plistConfig)), html.UnescapeString(first(plistUser))
	}
	if config != "" {
		run.Config = config
	}
	return run
}

// systemdUnquote reads an argument that systemdQuote has written.
func systemdUnquote(s string) string {
	quoted, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, "%%", "%", `\x7b`, "{", "$$", "$").Replace(strings.TrimSuffix(quoted, `"`))
}
