package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

func (a *app) newCheckConfigCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:   "check-config",
		Short: "Show everything that is wrong with the config file",
		Example: "  popbridge check-config && popbridge run\n\n" +
			"A config file to begin with, of which only the lines of the account are needed:\n\n" + config.Example,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.checkConfig(c.Context()) },
	})
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

func (a *app) checkConfig(ctx context.Context) error {
	cfg, err := a.loadConfig()
	var warnings []config.Problem
	if err == nil {
		warnings = append(cfg.Warnings(), passwordWarnings(ctx, cfg)...)
		warnings = append(warnings, a.userWarnings(cfg)...)
	}
	if a.json {
		var wrong []config.Problem
		if problems, ok := errors.AsType[*config.Errors](err); ok {
			wrong = problems.Problems
		}
		return errors.Join(a.printJSON(map[string]any{
			"file": a.configPath, "errors": findings(wrong), "warnings": findings(warnings)}), err)
	}
	if err != nil {
		return err
	}
	for _, p := range warnings {
		a.complain("warning", p.In(a.configPath))
		a.complain("hint", p.Hint)
	}
	a.printf("%s is good: %s, %s\n", a.configPath, count(len(cfg.Accounts), "account"), userList(cfg))
	return nil
}

// passwordWarnings tells which password files cannot be read now. Commands and
// the keychain are not asked: they may want an answer from a person.
func passwordWarnings(ctx context.Context, cfg *config.Config) []config.Problem {
	var list []config.Problem
	for i, acc := range cfg.Accounts {
		if acc.Password.File == "" {
			continue
		}
		if _, err := (secret.Source{File: acc.Password.File}).Read(ctx); err != nil {
			list = append(list, config.Problem{Key: fmt.Sprintf("account[%d].password_file", i+1),
				Text: err.Error(), Hint: fault.Hint(err)})
		}
	}
	return list
}

// userWarnings names the users whose mail is in the data folder and whom no
// account names.
func (a *app) userWarnings(cfg *config.Config) []config.Problem {
	stored, err := agent.StoredUsers(cfg.DataDir)
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

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
