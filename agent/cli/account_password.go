package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
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
	account, ok := cfg.Account(name)
	if !ok {
		return fault.New(fault.NotFound, "there is no account "+fault.Quote(name)+" in the config", "`popbridge status` lists them")
	}
	if !account.Password.InKeychain() {
		return fault.New(fault.Conflict, "account "+account.Name+" does not take its password from the keychain",
			"delete the line password_file or password_command from the config first")
	}
	password, err := a.askPassword(ctx, account)
	if err != nil {
		return err
	}
	item := secret.Item{Service: config.KeychainService, Account: account.KeychainItem()}
	if err := secret.Store(ctx, item, secret.Secret(password)); err != nil {
		return err
	}
	a.printf("the password of account %s was stored in the keychain; `%s` tries it\n", account.Name, a.command("account test "+account.Name))
	return nil
}

// askPassword reads a password without showing it.
func (a *app) askPassword(ctx context.Context, account config.Account) (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return readPassword(a.stdin, secret.MaxSize, "it is one line, as in: pass show home | popbridge account password "+account.Name)
	}
	_, _ = fmt.Fprintf(a.stderr, "Password of %s at %s: ", account.Username, account.Host)
	typed, err := readHidden(ctx, int(f.Fd()))
	_, _ = fmt.Fprintln(a.stderr)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if len(typed) == 0 {
		return "", fault.New(fault.Config, "the password is empty", "nothing was changed")
	}
	return string(typed), nil
}

// readHidden is term.ReadPassword that ends with ctx, and leaves the terminal as it was.
func readHidden(ctx context.Context, fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	var typed []byte
	done := make(chan error, 1)
	go func() { // stays behind until the process ends
		var err error
		typed, err = term.ReadPassword(fd)
		done <- err
	}()
	select {
	case err := <-done:
		return typed, err
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		return nil, ctx.Err()
	}
}
