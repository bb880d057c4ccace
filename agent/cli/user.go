package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newUserCommand() *cobra.Command {
	return parentOf("user", "Show and rename the users that mail programs log in as",
		"A user is whose mail an account brings, by the key user in the config. The mail\n"+
			"of a user stays here, is served, checked and backed up also when no account of\n"+
			"the config is of this user any more.",
		a.newUserListCommand(), a.newUserRenameCommand(), a.newUserConfirmCommand())
}

func (a *app) newUserListCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:     "list",
		Short:   "List the users, what they have, and the accounts that bring it",
		Example: "  popbridge user list",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.userList(c.Context()) },
	})
}

func (a *app) newUserRenameCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Give the mail and the devices of a user another user name",
		Long: "Give everything of user OLD to user NEW, who has no mail yet. Messages, UIDs and\n" +
			"device passwords stay as they are; mail programs log in as NEW from then on. Set\n" +
			"user = \"NEW\" in the accounts of the config before or after: between both steps\n" +
			"they are not polled, so that nothing is fetched twice.",
		Example: "  popbridge user rename ann anna",
		Args:    cobra.ExactArgs(2),
		RunE:    func(c *cobra.Command, args []string) error { return a.userRename(c.Context(), args[0], args[1]) },
	})
}

func (a *app) userList(ctx context.Context) error {
	return a.with(ctx, func(ops operations.Operations) error {
		users, err := ops.Users(ctx)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.printJSON(map[string]any{"users": users})
		}
		var t table
		var failed failures
		t.row("USER", "MESSAGES", "SIZE", "ACCOUNTS", "DEVICES")
		for _, u := range users {
			if u.Error != "" {
				failed.errs = append(failed.errs, fault.New(fault.Temporary, "user "+u.Name+": "+u.Error, u.Hint))
				t.row(u.Name, "?", "?", orDash(u.Accounts), "?")
				continue
			}
			t.row(u.Name, fmt.Sprint(u.Messages), size(u.Size), orDash(u.Accounts), orDash(u.Devices))
		}
		if err := t.print(a.stdout); err != nil || len(failed.errs) == 0 {
			return err
		}
		failed.part = len(failed.errs) < len(users)
		return &failed
	})
}

func (a *app) userRename(ctx context.Context, from, to string) error {
	return a.with(ctx, func(ops operations.Operations) error {
		u, err := ops.RenameUser(ctx, from, to)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.printJSON(u)
		}
		a.printf("user %s is %s now: %s, %s\n", from, u.Name, fault.Count(u.Messages, "message"), fault.Count(len(u.Devices), "device"))
		a.printf("Mail programs log in as %s, with the passwords they have.\n", u.Name)
		if cfg, err := a.loadConfig(); err == nil {
			for _, acc := range cfg.Accounts {
				if acc.User == from {
					a.complain("warning", fmt.Sprintf("account %s still has user = %q in %s and is not polled", acc.Name, from, a.configPath))
					a.complain("hint", fmt.Sprintf("set user = %q there", u.Name))
				}
			}
		}
		return nil
	})
}

func (a *app) newUserConfirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm NAME...",
		Short: "Say that the mail folder that is there now is the right one",
		Long: "When the mail of a user is missing, popbridge waits for it: a drive may not be\n" +
			"connected. This command gives the missing mail up: from now on what is in its place\n" +
			"is the mail of the user, or an empty mailbox. Nothing is deleted on the server of an\n" +
			"account before `popbridge account confirm` allows that, too. It also ends the message\n" +
			"that an older copy of the mail folder was put back.",
		Example: "  popbridge user confirm ann",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			givenUp, err := users.Confirm(c.Context(), cfg, "", args)
			if err != nil {
				return err
			}
			if len(givenUp) > 0 {
				a.printf("what is in %s is the mail of %s now; an agent that waits goes on by itself, one that had the former mail open needs: %s\n", cfg.DataDir, strings.Join(givenUp, ", "), a.command("restart"))
			}
			if len(givenUp) < len(args) {
				a.printf("the older copy is the mail from now on\n")
			}
			return nil
		},
	}
}
