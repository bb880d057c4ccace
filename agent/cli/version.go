package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/internal/mailstore"
)

func (a *app) newVersionCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Long: "Shows the version. With --check it asks the project's page of releases for the newest\n" +
			"one, and says how to get it; nothing is downloaded, and nothing is ever asked without --check.",
		Example: "  popbridge version --json\n  popbridge version --check",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if check {
				return a.checkVersion(c.Context(), releaseClient(nil))
			}
			return a.version()
		},
	}
	c.Flags().BoolVar(&check, "check", false, "ask whether there is a newer version")
	return a.addJSON(c)
}

func (a *app) version() error {
	v := buildVersion()
	if a.json {
		return a.printJSON(v)
	}
	a.printf("popbridge %s\ncommit    %s\ndate      %s\ngo        %s %s/%s\nsqlite    %s\n", v.Version, v.Commit, v.Date, v.Go, runtime.GOOS, runtime.GOARCH, v.SQLite)
	return nil
}

// What a release sets at build time; without, what the Go tool recorded is shown.
var version, commit, date string

type versions struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date,omitempty"` // of the commit, RFC 3339
	Go      string `json:"go"`
	SQLite  string `json:"sqlite"`
}

// buildVersion reads what the Go tool recorded in the binary.
func buildVersion() versions {
	v := versions{Version: "(devel)", Commit: "unknown", Go: runtime.Version(), SQLite: mailstore.SQLiteVersion()}
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
