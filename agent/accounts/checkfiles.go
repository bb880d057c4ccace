package accounts

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

// CheckFiles says what is wrong with the files and programs that a config names,
// as an account would find it at its next poll. Commands are not run and the
// keychain is not asked: they may want an answer from a person.
func CheckFiles(ctx context.Context, cfg *config.Config) (wrong, warnings []config.Problem) {
	lines := config.Lines(cfg.Path)
	for _, o := range cfg.OAuth {
		key := "oauth." + o.Name + ".client_secret_file"
		if _, err := signin.ClientSecret(ctx, o); err != nil {
			wrong = append(wrong, config.Problem{Line: lines[key], Key: key, Text: err.Error(), Hint: fault.Hint(err)})
		} else if text, hint := (secret.Source{File: o.SecretFile}).Warning(); text != "" {
			warnings = append(warnings, config.Problem{Line: lines[key], Key: key, Text: text, Hint: hint})
		}
	}
	for i, c := range cfg.Accounts {
		problem := func(key, text, hint string) config.Problem {
			key = fmt.Sprintf("account[%d].%s", i+1, key)
			return config.Problem{Line: lines[key], Key: key, Text: text, Hint: hint}
		}
		if c.Password.File != "" {
			if _, err := SecretOf(c).Read(ctx); err != nil {
				wrong = append(wrong, problem("password_file", err.Error(), fault.Hint(err)))
			}
		}
		if command := c.Password.Command; len(command) > 0 {
			if _, err := exec.LookPath(command[0]); err != nil {
				wrong = append(wrong, problem("password_command", "the program "+fault.Quote(command[0])+" cannot be run: "+err.Error(),
					"write its whole path, without ~ and variables; a service has a shorter PATH than a shell"))
			}
			for _, arg := range command[1:] {
				if what := config.Unexpanded(arg); what != "" {
					warnings = append(warnings, problem("password_command", what+" in "+fault.Quote(arg)+" may be taken literally: no shell runs the command",
						`write the whole path, or ["sh", "-c", "..."]`))
				}
			}
		}
		if _, err := ClientTLS(c); err != nil {
			wrong = append(wrong, problem("ca_file", err.Error(), fault.Hint(err)))
		}
	}
	return wrong, warnings
}
