package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newAccountPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "password NAME",
		Short: "Store the password of an account in the keychain",
		Long: "Asks for the password of the account at its provider, or reads it from standard\n" +
			"input, and stores it in the keychain of this user: the Credential Manager of\n" +
			"Windows, the keychain of macOS, the secret service of a Linux desktop. One that is\n" +
			"there is replaced. A running agent tries the new one by itself.",
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
	if !account.Password.InKeychain() {
		return fault.New(fault.Conflict, "account "+account.Name+" does not take its password from the keychain",
			"to have it there, run `"+a.command("account set "+account.Name+" password_file= password_command=")+"` first")
	}
	password, err := a.askPassword(ctx, account)
	if err != nil {
		return err
	}
	if err := editing.StoreInKeychain(ctx, account, password); err != nil {
		return err
	}
	a.printf("the password of account %s was stored in the keychain; `%s` tries it\n", account.Name, a.command("account test "+account.Name))
	return nil
}
