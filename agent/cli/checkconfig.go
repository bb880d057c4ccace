package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

func (a *app) newCheckConfigCommand() *cobra.Command {
	var online bool
	c := a.addJSON(&cobra.Command{
		Use:   "check-config",
		Short: "Show everything that is wrong with the config file",
		Long: "Shows everything that is wrong with the config file, and with the files and\n" +
			"programs that it names. With --online each account logs in, as `popbridge\n" +
			"account test` does. The exit code is 2 for errors in the file, 1 for what is wrong\n" +
			"outside it (a file is missing, a login is refused), 0 otherwise; warnings are no\n" +
			"errors.",
		Example: "  popbridge check-config && popbridge run\n\n" +
			"A config file to begin with, of which only the lines of the account are needed:\n\n" + config.Example,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.checkConfig(c.Context(), online) },
	})
	c.Flags().BoolVar(&online, "online", false, "log in at the servers of each account, for fetching and for sending")
	return c
}

// finding is a problem of the config as --json shows it.
type finding struct {
	Line int    `json:"line"`
	Key  string `json:"key"`
	Text string `json:"text"`
	Hint string `json:"hint"`
}

func findings(problems []config.Problem) []finding {
	list := []finding{}
	for _, p := range problems {
		list = append(list, finding(p))
	}
	return list
}

func (a *app) checkConfig(ctx context.Context, online bool) error {
	cfg, err := a.loadConfig()
	if err != nil {
		if !a.json {
			return err
		}
		var wrong []config.Problem
		if problems, ok := errors.AsType[*config.Errors](err); ok {
			wrong = problems.Problems
		}
		return errors.Join(a.printFindings(wrong, nil, nil), err)
	}
	outside, warnings := accounts.CheckFiles(ctx, cfg)
	warnings = slices.Concat(cfg.Warnings(), warnings, append(a.userWarnings(cfg), passwordWarnings(cfg)...))
	var failed failures
	for _, p := range outside {
		failed.errs = append(failed.errs, fault.New(fault.NotFound, p.In(a.configPath), p.Hint))
	}
	if a.json {
		err = a.printFindings(nil, outside, warnings)
	} else {
		for _, p := range warnings {
			a.complain("warning", p.In(a.configPath))
			a.complain("hint", p.Hint)
		}
	}
	if online && len(outside) == 0 {
		err = errors.Join(err, a.accountTest(ctx, nil))
	}
	switch {
	case len(failed.errs) > 0:
		return &failed
	case err == nil && !a.json:
		a.printf("%s is good: %s, %s\n", a.configPath, fault.Count(len(cfg.Accounts), "account"), userList(cfg))
	}
	return err
}

func (a *app) printFindings(wrong, outside, warnings []config.Problem) error {
	return a.printJSON(map[string]any{"file": a.configPath, "data_dir": config.DataDir(a.configPath),
		"errors": append(findings(wrong), findings(outside)...), "warnings": findings(warnings)})
}

// passwordWarnings tells which password files others can read.
func passwordWarnings(cfg *config.Config) []config.Problem {
	var list []config.Problem
	for i, acc := range cfg.Accounts {
		if text, hint := (secret.Source{File: acc.Password.File}).Warning(); text != "" {
			list = append(list, config.Problem{Key: fmt.Sprintf("account[%d].password_file", i+1), Text: text, Hint: hint})
		}
	}
	return list
}

// userWarnings names the users whose mail is in the data folder and whom no
// account names.
func (a *app) userWarnings(cfg *config.Config) []config.Problem {
	stored, err := users.Stored(cfg.DataDir)
	if err != nil {
		return []config.Problem{{Key: "data_dir", Text: err.Error(), Hint: fault.Hint(err)}}
	}
	var list []config.Problem
	for _, name := range stored {
		if !slices.ContainsFunc(cfg.Users(), func(user string) bool { return strings.EqualFold(user, name) }) {
			list = append(list, config.Problem{Key: "user",
				Text: "the data folder has mail of user " + name + ", and no account here is of this user",
				Hint: "it stays and is served; if the user has another name now: `" + a.command("user rename "+name+" NEW") + "`"})
		}
	}
	return list
}

func userList(cfg *config.Config) string {
	switch users := cfg.Users(); len(users) {
	case 0:
		return "no user"
	case 1:
		return "user " + users[0]
	default:
		return "users " + strings.Join(users, ", ")
	}
}
