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
		checkPassword(ctx, "", c.Password, problem, &wrong, &warnings)
		checkPassword(ctx, "send.", c.Send.Password, problem, &wrong, &warnings)
		_, err := ClientTLS(c)
		if err == nil && c.Send.Host != "" {
			_, err = SenderTLS(c, c.Send)
		}
		if err != nil {
			wrong = append(wrong, problem("ca_file", err.Error(), fault.Hint(err)))
		}
	}
	return wrong, warnings
}

func checkPassword(ctx context.Context, table string, from config.PasswordSource, problem func(key, text, hint string) config.Problem, wrong, warnings *[]config.Problem) {
	if from.File != "" {
		if _, err := (secret.Source{File: from.File}).Read(ctx); err != nil {
			*wrong = append(*wrong, problem(table+"password_file", err.Error(), fault.Hint(err)))
		}
	}
	if len(from.Command) == 0 {
		return
	}
	key := table + "password_command"
	if _, err := exec.LookPath(from.Command[0]); err != nil {
		*wrong = append(*wrong, problem(key, "the program "+fault.Quote(from.Command[0])+" cannot be run: "+err.Error(),
			"write its whole path, without ~ and variables; a service has a shorter PATH than a shell"))
	}
	for _, arg := range from.Command[1:] {
		if what := config.Unexpanded(arg); what != "" {
			*warnings = append(*warnings, problem(key, what+" in "+fault.Quote(arg)+" may be taken literally: no shell runs the command",
				`write the whole path, or ["sh", "-c", "..."]`))
		}
	}
}
