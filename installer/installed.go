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
	text, err := os.ReadFile(s.unit())
	if s.Path() == "" || err != nil {
		return run
	}
	if s.host.goos == "linux" {
		found := readUnit(text)
		if run.User, run.StateHome = found.User, found.StateHome; found.Config != "" {
			run.Config = found.Config
		}
		return run
	}
	if config := html.UnescapeString(first(text, plistConfig)); config != "" {
		run.Config = config
	}
	run.User = html.UnescapeString(first(text, plistUser))
	return run
}

// readUnit reads config, user and folder of state from a unit.
func readUnit(text []byte) Run {
	return Run{Config: systemdUnquote(first(text, unitConfig)), User: first(text, unitUser),
		StateHome: strings.TrimPrefix(systemdUnquote(first(text, unitState)), "XDG_STATE_HOME=")}
}

// first is what an expression finds first, "" where it finds nothing.
func first(text []byte, re *regexp.Regexp) string {
	if m := re.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// systemdUnquote reads an argument that systemdQuote has written.
func systemdUnquote(s string) string {
	quoted, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, "%%", "%", `\x7b`, "{", "$$", "$").Replace(strings.TrimSuffix(quoted, `"`))
}
