package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/config"
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
		l := listedAccount{c.Name, c.Host, c.Port, string(c.TLS), c.Username, c.User, c.Folder, every(c.PollEvery), c.Keep.String(), c.Paused}
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
			return a.changeAccount(c.Context(), args[0], "account "+args[0]+" was changed", func(text []byte, name string) ([]byte, error) {
				return config.SetAccount(text, name, settings)
			})
		},
	}
}

func (a *app) newAccountPauseCommand(paused bool) *cobra.Command {
	use, short, value := "pause NAME", "Do not poll an account until it is resumed", "true"
	if !paused {
		use, short, value = "resume NAME", "Poll a paused account again", ""
	}
	word, _, _ := strings.Cut(use, " ")
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), Example: "  popbridge account " + word + " home",
		Long: short + ": the key paused of the config. Mail that is\nstored here stays, and is served.",
		RunE: func(c *cobra.Command, args []string) error {
			did := "is polled again"
			if paused {
				did = "is not polled until `" + a.command("account resume "+args[0]) + "`"
			}
			return a.changeAccount(c.Context(), args[0], "account "+args[0]+" "+did, func(text []byte, name string) ([]byte, error) {
				return config.SetAccount(text, name, []config.Setting{{Key: "paused", Value: value}})
			})
		},
	}
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
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			removed, _ := cfg.Account(args[0])
			err = a.changeAccount(c.Context(), args[0], "account "+args[0]+" was removed from the config", config.RemoveAccount)
			if err != nil {
				return err
			}
			a.printf("The mail it has brought stays with user %s, and what is on %s stays there.\n", removed.User, removed.Host)
			switch p := removed.Password; {
			case p.File != "":
				a.printf("Its password is still in %s.\n", p.File)
			case p.InKeychain():
				a.printf("Its password is still in the keychain, as %s.\n", removed.KeychainItem())
			}
			return nil
		},
	}
}

// changeAccount changes an account of the config, by whatever case its name was given.
func (a *app) changeAccount(ctx context.Context, name, did string, change func(text []byte, name string) ([]byte, error)) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	if account, ok := cfg.Account(name); ok {
		name = account.Name
	}
	if cfg, err = config.Edit(a.configPath, func(text []byte) ([]byte, error) { return change(text, name) }); err != nil {
		return err
	}
	a.printf("%s\n", did)
	a.afterEdit(ctx, cfg)
	return nil
}

// every writes a duration as the config has it.
func every(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
