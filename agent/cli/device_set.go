package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newDeviceSetCommand() *cobra.Command {
	var d operations.SetDevice
	var readOnly, allFolders, lan, noLAN bool
	var send yesNo
	c := a.addJSON(&cobra.Command{
		Use:     "set NAME",
		Short:   "Change what a mail program may do and see",
		Long:    "What is not named stays as it is, and so does the password. A client that is\nconnected is disconnected, and finds things changed when it comes back.",
		Example: "  popbridge device set kids --folder Family --folder Sent\n  popbridge device set laptop --without MOVE\n  popbridge device set phone --no-lan",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d.Name = args[0]
			if c.Flags().Changed("read-only") {
				d.ReadOnly = &readOnly
			}
			if allFolders {
				d.Folders = []string{}
			}
			if len(d.Without) == 1 && d.Without[0] == "nothing" {
				d.Without = []string{}
			}
			if lan || noLAN {
				d.LAN = &lan
			}
			if d.Send = send.chosen; d.ReadOnly == nil && d.Folders == nil && d.Without == nil && d.LAN == nil && d.Send == nil {
				return fault.New(fault.Config, "it is not said what to change", "`popbridge device set --help` shows how")
			}
			cfg, err := a.loadConfig()
			if err == nil && lan {
				err = operations.LANIsOn(cfg)
			}
			if err != nil {
				return err
			}
			changed, err := ask(c.Context(), a, operations.Operations.SetDevice, d)
			if err == nil && a.json {
				err = a.printJSON(changed)
			}
			if err != nil || a.json {
				return err
			}
			a.printf("device %s of user %s is changed\n", changed.Name, changed.User)
			if lan {
				a.printPairing(a.pair(c.Context(), cfg, changed))
			}
			return nil
		},
	})
	c.Flags().StringVar(&d.User, "user", "", "the `USER` it belongs to, when several have one of that name")
	c.Flags().BoolVar(&readOnly, "read-only", false, "let it read and change nothing; --read-only=false lifts it")
	c.Flags().StringArrayVar(&d.Folders, "folder", nil, "let it see this `FOLDER` and those below only; may be given several times")
	c.Flags().BoolVar(&allFolders, "all-folders", false, "let it see all folders")
	c.Flags().StringSliceVar(&d.Without, "without", nil, "switch these IMAP `CAPABILITIES` off, and no others; nothing: none")
	c.Flags().Var(&send, "send", "yes or no: whether it may send mail")
	c.Flags().BoolVar(&lan, "lan", false, "let it in from the local network, too, and show the page that sets a phone up")
	c.Flags().BoolVar(&noLAN, "no-lan", false, "let it in from this machine only")
	c.MarkFlagsMutuallyExclusive("lan", "no-lan")
	c.MarkFlagsMutuallyExclusive("folder", "all-folders")
	return c
}

// yesNo is a flag that is yes, no, or not given.
type yesNo struct{ chosen *bool }

func (f *yesNo) String() string { return "" }
func (f *yesNo) Type() string   { return "yes|no" }

func (f *yesNo) Set(s string) error {
	yes := s == "yes"
	if !yes && s != "no" {
		return errors.New("write yes or no")
	}
	f.chosen = &yes
	return nil
}
