package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
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
				return a.checkVersion(c.Context(), releaseClient(nil), operations.BuildVersion().Version)
			}
			return a.version()
		},
	}
	c.Flags().BoolVar(&check, "check", false, "ask whether there is a newer version")
	return a.addJSON(c)
}

func (a *app) version() error {
	v := operations.BuildVersion()
	if a.json {
		return a.printJSON(v)
	}
	a.printf("popbridge %s\ncommit    %s\ndate      %s\ngo        %s %s/%s\nsqlite    %s\n", v.Version, v.Commit, v.Date, v.Go, runtime.GOOS, runtime.GOARCH, v.SQLite)
	return nil
}
