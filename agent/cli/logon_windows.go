package cli

import (
	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/installer"
)

// newLogonCommand returns what the .msi runs: the entry that starts the agent at log-on
// is written and removed by the program that reads it. No config is needed yet: the
// agent waits for one.
func (a *app) newLogonCommand() *cobra.Command {
	verb := func(use, short string, act func(*installer.Service) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			o, err := a.serviceOptions(false)
			if err != nil {
				return err
			}
			s, err := installer.New(o)
			if err != nil {
				return err
			}
			return act(s)
		}}
	}
	c := parentOf("logon", "Start this program at log-on, as the .msi does", "",
		verb("add", "Let this program be started at log-on, with the config of the entry that is there", (*installer.Service).TakeOver),
		verb("remove", "Stop it, and remove the entry, if it starts this program", (*installer.Service).GiveUp))
	c.Hidden = true
	return c
}
