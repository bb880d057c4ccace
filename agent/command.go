package agent

import (
	"strings"

	"github.com/popbridge/popbridge/config"
)

// command is Command for the config in force.
func (a *Agent) command(rest string) string { return Command(a.Config().Path, rest) }

// Command is a popbridge command as it is typed for a config file, for hints
// that can be copied.
func Command(configPath, rest string) string {
	if configPath == config.DefaultPath() || configPath == "" {
		return "popbridge " + rest
	}
	if strings.ContainsAny(configPath, " '\"$`&;()<>|*?\t") {
		configPath = `"` + configPath + `"`
	}
	return "popbridge " + rest + " --config " + configPath
}
