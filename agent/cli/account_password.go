package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/editing"
)

func (a *app) newAccountPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password NAME",
		Short: "Store the password of an account where the config says that it is",
		Long: "Asks for the password of the account at its provider, or reads it from standard\n" +
			"input, and stores it in its password_file, or where the config names none in the\n" +
			"keychain of this user: the Credential Manager of Windows, the keychain of macOS, the\n" +
			"secret service of a Linux desktop. One that is there is replaced. A running agent\n" +
			"tries the new one by itself.",
		Example: "  popbridge account password home\n  pass show home | popbridge account password home",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.accountPassword(c.Context(), args[0]) },
	}
}

func (a *app) accountPassword(ctx context.Context, name string) error {
	cfg, err := a.loadConfig()
	if err == nil {
		err = a.asAccount()
	}
	if err != nil {
		return err
	}
	at, err := editing.Index(cfg, name)
	if err != nil {
		return err
	}
	account := cfg.Accounts[at]
	if err := a.editing().Replaceable(account); err != nil {
		return err
	}
	password, err := a.askPassword(ctx, account)
	if err != nil {
		return err
	}
	where, err := a.editing().Replace(ctx, account, password)
	if err != nil {
		return err
	}
	a.printf("the password of account %s was stored %s; `%s` tries it\n", account.Name, where, a.command("account test "+account.Name))
	return nil
}
