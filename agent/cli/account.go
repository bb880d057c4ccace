package cli

import (
	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/control"
)

func (a *app) newAccountCommand() *cobra.Command {
	return parentOf("account", "Decide about an account", "", &cobra.Command{
		Use:   "confirm NAME",
		Short: "Allow the deletions on its server that `sync --dry-run` shows",
		Long: "After keep_on_server or delete_on_server of an account was changed to delete more\n" +
			"than before, nothing is deleted on its server until this command allows it.\n" +
			"`popbridge sync --dry-run NAME` shows what it would be.",
		Example: "  popbridge sync --dry-run home\n  popbridge account confirm home",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), func(ops control.Operations) error {
				if err := ops.Confirm(c.Context(), args[0]); err != nil {
					return err
				}
				a.printf("account %s: its deletions on the server are allowed; the next poll makes them\n", args[0])
				return nil
			})
		},
	})
}
