package cli

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/installer"
)

// platformCommands are those that only this system has.
func (a *app) platformCommands() []*cobra.Command {
	return []*cobra.Command{a.newLogonCommand(), {
		Use:    installer.BackgroundCommand,
		Short:  "Run the agent without a window, as Windows does at log-on",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := filepath.Abs(a.configPath)
			if err != nil {
				return err
			}
			if err := os.Setenv(agent.BackgroundVariable, strconv.Itoa(os.Getpid())); err != nil {
				return err
			}
			return installer.UntilStopped(c.Context(), path, func(ctx context.Context) error {
				return a.unattended(ctx, func() {})
			})
		},
	}}
}
