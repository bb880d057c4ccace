package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/users"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

// uninstall are the flags of the verb.
type uninstall struct{ deleteMail, yes bool }

// describe completes the verb.
func (u *uninstall) describe(c *cobra.Command) {
	c.Long = "Stop and remove the background service. Mail and config stay, unless --delete-mail\n" +
		"says otherwise: then the data folder is deleted, after it was said how many messages\n" +
		"that are, how many of them are nowhere else, and `delete` was typed. Nothing is\n" +
		"deleted while an agent runs, or where the folder holds anything that popbridge has\n" +
		"not made. What is on the POP servers stays there."
	c.Example = "  popbridge uninstall\n  popbridge uninstall --delete-mail"
	c.Flags().BoolVar(&u.deleteMail, "delete-mail", false, "also delete the data folder: all mail, logins and certificates; the config stays")
	c.Flags().BoolVar(&u.yes, "yes", false, "delete the mail without asking")
}

// uninstall removes the service, and the mail where that is asked for.
func (a *app) uninstall(ctx context.Context, o installer.Options, u uninstall) error {
	if u.yes && !u.deleteMail {
		return fault.New(fault.Config, "--yes is for --delete-mail", "without it nothing is asked")
	}
	if u.deleteMail {
		if err := a.mayDelete(u.yes); err != nil {
			return err
		}
		if len(installer.Installed(o)) == 0 { // there may be mail all the same
			return a.deleteMail(ctx, u.yes)
		}
	}
	s, err := installer.New(o)
	if err == nil && u.deleteMail {
		if status, _ := s.Status(); status == installer.NotInstalled { // the other kind is
			return a.deleteMail(ctx, u.yes)
		}
		err = a.deleteMailOf(ctx, s, u.yes)
	}
	var path string
	done := "the service was removed"
	if err == nil && s.Packaged() {
		done = "the service was stopped and disabled; its unit belongs to the package, and stays"
	}
	if err == nil {
		path = s.Runs().Config
		err = s.Uninstall()
	}
	if err != nil {
		return err
	}
	if u.deleteMail {
		a.printf("%s\n", done)
		return nil
	}
	a.printf("%s; mail and config stay\n", done)
	a.noteTrust(ctx, path)
	return nil
}

// deleteMailOf deletes the mail of a service, whose config is the one that is meant
// unless one was named. Where nothing is deleted the service goes on as it was.
func (a *app) deleteMailOf(ctx context.Context, s *installer.Service, yes bool) error {
	if !a.configNamed {
		a.configPath = s.Runs().Config
	}
	before, err := s.Status()
	if err == nil {
		err = s.Stop()
	}
	if err != nil {
		return err
	}
	err = a.deleteMail(ctx, yes)
	if err != nil && before == installer.Running {
		err = errors.Join(err, s.Start())
	}
	return err
}

// mayDelete is the error that there is no one to ask.
func (a *app) mayDelete(yes bool) error {
	if yes || a.interactive() {
		return nil
	}
	return fault.New(fault.Config, "deleting mail has to be confirmed, and there is no terminal to ask on", "add --yes if all mail in the data folder is to be deleted; nothing was changed")
}

// deleteMail deletes all mail of the config, after it was asked for.
func (a *app) deleteMail(ctx context.Context, yes bool) error {
	if _, err := os.Stat(a.configPath); errors.Is(err, fs.ErrNotExist) {
		return a.withoutConfig()
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, fs.ErrNotExist) && users.Missing(cfg, "") == nil {
		a.printf("there is no mail: %s does not exist\n", cfg.DataDir)
		return nil
	}
	own, err := agent.Open(ctx, cfg, agent.Options{Log: a.commandLog(cfg)})
	if err != nil {
		return err
	}
	list, err := own.Holdings(ctx)
	if err != nil {
		return errors.Join(err, own.Close())
	}
	a.showHoldings(cfg.DataDir, list)
	ca, _ := datadir.ReadAuthority(cfg.DataDir, datadir.AuthorityFile(cfg.DataDir)) // without it nothing is said of it
	trusting := trustedIn(ctx, ca)
	if !yes {
		if err := a.confirmDelete(ctx); err != nil {
			return errors.Join(err, own.Close())
		}
	}
	if err := own.DeleteMail(); err != nil {
		return err
	}
	a.printf("the mail was deleted; the config stays: %s\n", cfg.Path)
	if len(trusting) > 0 {
		a.printf("its certificate authority, whose key was deleted, is still trusted in: %s; `%s` ends that\n", strings.Join(trusting, "; "), a.command("trust remove --all"))
	}
	return nil
}

// withoutConfig says that there is nothing to delete, or that it is not known what.
func (a *app) withoutConfig() error {
	if a.configNamed {
		return fault.New(fault.Config, "there is no config file "+a.configPath+", so that it is not known which mail is meant; nothing was deleted", "check the path after --config")
	}
	dir := config.DataDir(a.configPath)
	if stored, err := users.Stored(dir); err != nil || len(stored) > 0 {
		return fault.New(fault.Config, "there is no config file "+a.configPath+", and it is not known whether it was the mail in "+dir+" that is meant; nothing was deleted",
			"name the config with --config FILE, or delete "+dir+" yourself")
	}
	a.printf("there is no config, and no mail\n")
	return nil
}

// showHoldings says what will be deleted.
func (a *app) showHoldings(dir string, list []agent.Holding) {
	messages, only := 0, 0
	for _, h := range list {
		a.printf("user %s: %s, %d of which no POP server has any more\n", h.User, fault.Count(h.Messages, "message"), h.OnlyHere)
		messages, only = messages+h.Messages, only+h.OnlyHere
	}
	a.printf("%s of %s in %s, %d of which are nowhere else\n", fault.Count(messages, "message"), fault.Count(len(list), "user"), dir, only)
}

// confirmDelete asks on the terminal.
func (a *app) confirmDelete(ctx context.Context) error {
	a.printf("To delete all of this for good, type: delete\n")
	if line, err := a.question(ctx, "> "); err == nil && line == "delete" {
		return nil
	}
	return fault.New(fault.Denied, fmt.Sprintf("the mail stays: %q was not typed", "delete"), "to delete it, run the command again")
}
