package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newAccountCommand() *cobra.Command {
	return parentOf("account", "Add, change, test accounts, and decide about them", "", a.newAccountAddCommand(), a.newAccountListCommand(),
		a.newAccountSetCommand(), a.newAccountPauseCommand(true), a.newAccountPauseCommand(false), a.newAccountRemoveCommand(),
		a.newAccountTestCommand(), a.newAccountPasswordCommand(), a.newAccountSignInCommand(), a.newAccountConfirmCommand())
}

func (a *app) newAccountConfirmCommand() *cobra.Command {
	var incomplete bool
	c := &cobra.Command{
		Use:   "confirm NAME",
		Short: "Allow what an account waits for: deletions on its server, or another user",
		Long: "After keep_on_server or delete_on_server of an account was changed to delete more\n" +
			"than before, nothing is deleted on its server until this command allows it.\n" +
			"`popbridge sync --dry-run NAME` shows what it would be. An account whose user was\n" +
			"changed is polled for that user from then on. A message of which less came than the\n" +
			"server lists stays there all the same: --incomplete allows to delete those once\n" +
			"they are due, and nothing else.",
		Example: "  popbridge sync --dry-run home\n  popbridge account confirm home",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			done, err := ask(c.Context(), a, operations.Operations.Confirm, operations.Confirm{Account: args[0], Everything: !incomplete, Incomplete: incomplete})
			if err != nil {
				return err
			}
			for _, text := range confirmedText(done) {
				a.printf("account %s: %s\n", args[0], text)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&incomplete, "incomplete", false, "allow the messages of which less came than the server lists to be deleted")
	return c
}

// confirmedText says what was confirmed, in lines.
func confirmedText(done operations.Confirmed) (lines []string) {
	if done.User != "" {
		lines = append(lines, "it brings mail to user "+done.User+" from now on")
	}
	if done.Held && done.User == "" {
		lines = append(lines, "what is due may be deleted on its server, although the mail store is new to it")
	}
	if done.Deletions > 0 {
		lines = append(lines, fault.Count(done.Deletions, "deletion")+" on its server may be made; the next poll does")
	}
	if done.Incomplete > 0 {
		lines = append(lines, fault.Count(done.Incomplete, "message")+" of which little came may be deleted on its server when due")
	}
	if lines == nil {
		lines = []string{"nothing waited to be confirmed"}
	}
	return lines
}

func (a *app) newAccountTestCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:   "test [NAME]",
		Short: "Log in at the servers of an account and look; nothing is fetched or changed",
		Long: "Connects to the server of the account, or of every account, logs in, and prints\n" +
			"how the connection is protected, what the server can do, and how much mail there\n" +
			"is, by the config file as it is now. Then it logs in at the outgoing server, where\n" +
			"popbridge sends by one. Nothing is fetched, deleted, marked or sent. A running agent\n" +
			"is asked to do it: a POP3 mailbox allows one session at a time. The exit code is 0\n" +
			"when every login went through, 3 when some did, 1 when none did, 2 when the config\n" +
			"has errors.",
		Example: "  popbridge account test\n  popbridge account test home",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.accountTest(c.Context(), args) },
	})
}

func (a *app) accountTest(ctx context.Context, names []string) error {
	if _, err := a.loadConfig(); err != nil { // a running agent would test what was in the file before
		return err
	}
	probes, err := ask(ctx, a, operations.Operations.Probe, names)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(map[string]any{"accounts": append([]operations.Probe{}, probes...)})
	}
	var failed failures
	for _, p := range probes {
		if p.Error != "" {
			failed.errs = append(failed.errs, fault.New(fault.Temporary, p.Account+": "+p.Error, p.Hint))
		} else if failed.part = true; !a.json {
			a.printProbe(p)
		}
		switch s := p.Sending; {
		case s == nil:
		case s.Error != "":
			failed.errs = append(failed.errs, fault.New(fault.Temporary, p.Account+": sending: "+s.Error, s.Hint))
		default:
			if failed.part = true; !a.json {
				a.printf("%s: sending: logged in at %s\n", p.Account, s.Server)
			}
		}
	}
	if len(failed.errs) > 0 {
		return &failed
	}
	return err
}

func (a *app) printProbe(p operations.Probe) {
	a.printf("%s: logged in at %s\n", p.Account, p.Server)
	a.printf("  mail         %s, %s\n", fault.Count(p.Messages, "message"), size(p.Bytes))
	a.printf("  protected    %s\n", cmp.Or(p.TLS, "no: password and mail can be read on the way"))
	if p.Pin != "" {
		a.printf("  certificate  %s\n", p.Certificate)
		by := "the certificate; with it as tls_pin the server's key would decide alone"
		if p.Pinned {
			by = "tls_pin; name, date and authority of the certificate were not looked at"
		}
		a.printf("  pin          %s\n  accepted by  %s\n", p.Pin, by)
	}
	a.printf("  can do       %s\n", cmp.Or(p.Capabilities, "nothing is announced (no CAPA)"))
	for _, w := range p.Warnings {
		a.printf("  oddity       %s\n", w)
	}
}
