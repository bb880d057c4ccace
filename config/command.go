package config

import "strings"

// Command is a popbridge command as it is typed for a config file, for hints
// that can be copied.
func Command(configPath, rest string) string {
	if configPath == DefaultPath() || configPath == "" {
		return "popbridge " + rest
	}
	if strings.ContainsAny(configPath, " '\"$`&;()<>|*?\t") {
		configPath = `"` + configPath + `"`
	}
	return "popbridge " + rest + " --config " + configPath
}
