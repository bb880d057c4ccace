package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newAccountListCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use: "list", Short: "List the accounts of the config", Args: cobra.NoArgs,
		Long:    "Lists the accounts of the config. How they are is in `popbridge status`.",
		Example: "  popbridge account list",
		RunE:    func(*cobra.Command, []string) error { return a.accountList() },
	})
}

// listedAccount is an account as --json shows it.
type listedAccount struct {
	Name         string `json:"name"`
	Host         string `json:"host"`
	Port         int    `json:"port"`
	TLS          string `json:"tls"`
	Username     string `json:"username"`
	User         string `json:"user"`
	Folder       string `json:"folder"`
	PollEvery    string `json:"poll_every"`
	KeepOnServer string `json:"keep_on_server"`
	Paused       bool   `json:"paused"`
}

func (a *app) accountList() error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	list := []listedAccount{}
	var t table
	t.row("ACCOUNT", "SERVER", "USER NAME THERE", "MAIL GOES TO", "POLLED EVERY", "KEPT ON SERVER")
	for _, c := range cfg.Accounts {
		l := listedAccount{c.Name, c.Host, c.Port, string(c.TLS), c.Username, c.User, c.Folder, editing.Duration(c.PollEvery), c.Keep.String(), c.Paused}
		list = append(list, l)
		every := l.PollEvery
		if l.Paused {
			every = "paused"
		}
		t.row(l.Name, fmt.Sprintf("%s:%d", l.Host, l.Port), l.Username, l.User+"/"+l.Folder, every, l.KeepOnServer)
	}
	if a.json {
		return a.printJSON(map[string]any{"accounts": list})
	}
	if len(list) == 0 {
		a.printf("there is no account: `%s` adds one\n", a.command("setup"))
		return nil
	}
	return t.print(a.stdout)
}

func (a *app) newAccountSetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "Change keys of an account in the config",
		Long: "Changes the account in the config; comments and everything else there stay. KEY=\n" +
			"alone goes back to the default. The whole file is checked before it is written,\n" +
			"and taken up by a running agent. Where more would be deleted on the server than\n" +
			"before, that waits for `popbridge account confirm`.",
		Example: "  popbridge account set home poll_every=10m keep_on_server=30d\n  popbridge account set home keep_on_server=",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var settings []config.Setting
			for _, arg := range args[1:] {
				s, err := config.ParseSetting(arg)
				if err != nil {
					return err
				}
				settings = append(settings, s)
			}
			before, after, err := a.changeAccount(args[0], settings)
			if err != nil {
				return err
			}
			if before.Equal(after) {
				a.printf("account %s has that already\n", after.Name)
				return nil
			}
			a.printf("account %s was changed\n", before.Name)
			for _, line := range a.told(before, after) {
				a.printf("%s\n", line)
			}
			return a.afterEdit(c.Context())
		},
	}
}

func (a *app) newAccountPauseCommand(paused bool) *cobra.Command {
	use, short, long := "pause NAME", "Do not poll an account until it is resumed", ""
	if !paused {
		use, short, long = "resume NAME", "Poll a paused account again", " Logs in at its server\nto see that it can be polled: exit code 3 where it cannot."
	}
	word, _, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), Example: "  popbridge account " + word + " home",
		Long: short + ": the key paused of the config. Mail that is\nstored here stays, and is served." + long,
		RunE: func(c *cobra.Command, args []string) error {
			if paused {
				return a.pause(c.Context(), args[0])
			}
			return a.resume(c.Context(), args[0])
		},
	}
}

func (a *app) pause(ctx context.Context, name string) error {
	_, after, err := a.changeAccount(name, []config.Setting{{Key: "paused", Value: "true"}})
	if err != nil {
		return err
	}
	a.printf("account %s is not polled until `%s`\n", after.Name, a.command("account resume "+after.Name))
	return a.afterEdit(ctx)
}

// resume ends a pause, and says whether the account can be polled then.
func (a *app) resume(ctx context.Context, name string) error {
	before, after, err := a.changeAccount(name, []config.Setting{{Key: "paused"}})
	if err != nil {
		return err
	}
	if before.Paused {
		a.printf("account %s is no longer paused\n", after.Name)
	} else {
		a.printf("account %s was not paused\n", after.Name)
	}
	if err := a.afterEdit(ctx); err != nil || a.serviceAccount() != "" { // then its mail is not root's to open
		return err
	}
	return a.with(ctx, func(ops operations.Operations) error {
		probes, err := ops.Probe(ctx, []string{after.Name})
		if err != nil {
			return err
		}
		if p := probes[0]; p.Error != "" {
			return &failures{part: true, errs: []error{fault.New(fault.Temporary, after.Name+": it cannot be polled: "+p.Error, p.Hint)}}
		}
		status, err := ops.Status(ctx)
		if err == nil && !status.Running {
			a.printf("its server lets it log in; it is polled once popbridge runs: %s\n", a.command("run"))
		} else if err == nil {
			a.printf("its server lets it log in, and it is polled again\n")
		}
		return err
	})
}

func (a *app) newAccountRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Take an account out of the config; its mail stays",
		Long: "Takes the account out of the config, with the comments inside and right above it.\n" +
			"What it has fetched stays here and is served; what is on its server stays there.\n" +
			"Added again with the same server and user name, it goes on where it was.",
		Example: "  popbridge account remove home",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := a.loadConfig(); err != nil {
				return err
			}
			removed, err := a.editing().Remove(args[0])
			if err != nil {
				return err
			}
			a.printf("account %s was removed from the config\n", removed.Name)
			a.printf("The mail it has brought stays with user %s, and what is on %s stays there.\n", removed.User, removed.Host)
			if removed.OAuth != nil {
				a.printf("It stays signed in for an account of the same name there; end that at the provider.\n")
			}
			switch p := removed.Password; {
			case removed.SignsInToFetch():
			case p.File != "":
				a.printf("Its password is still in %s.\n", p.File)
			case p.InKeychain():
				a.printf("Its password stays in the keychain, if it is there, as %s.\n", removed.KeychainItem())
			}
			return a.afterEdit(c.Context())
		},
	}
}

// changeAccount changes an account of the config.
func (a *app) changeAccount(name string, settings []config.Setting) (before, after config.Account, err error) {
	if _, err := a.loadConfig(); err != nil {
		return before, after, err
	}
	return a.editing().Change(name, settings)
}
