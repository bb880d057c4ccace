package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newBackupCommand() *cobra.Command {
	var replace bool
	c := a.addJSON(&cobra.Command{
		Use:   "backup [DIR]",
		Short: "Copy mail, its state, certificates and config to a folder",
		Long: "Bring a backup of all users in DIR up to date. The agent may run. Message files\n" +
			"that the backup has already are not copied again. A backup that is interrupted\n" +
			"leaves the former one as it was. A backup\n" +
			"of another data folder, or one with far more mail, is replaced with --replace only.\n" +
			"Without DIR it is the folder of the last backup, which has to be there.",
		Example: "  popbridge backup /media/usb/popbridge\n  popbridge backup",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.backup(c.Context(), args, replace) },
	})
	c.Flags().BoolVar(&replace, "replace", false, "also replace the backup of another data folder, or one with more mail")
	return c
}

func (a *app) newRestoreCommand() *cobra.Command {
	var devices bool
	c := a.addJSON(&cobra.Command{
		Use:   "restore DIR",
		Short: "Fill an empty data folder from a backup",
		Long: "Fill the data folder of the config from a backup. No agent may run, and the data\n" +
			"folder may not hold mail or logins yet. Mail programs find the UIDs they know. The\n" +
			"logins of mail programs and the certificate come back from a backup that is as this\n" +
			"computer has written it; from any other only with --with-devices, as whoever could\n" +
			"change it could have added a login. A config has to be there first: DIR has the\n" +
			"config file as it was; read it and copy it to its place where it is lost. Password\n" +
			"files are not in a backup.",
		Example: "  popbridge restore /media/usb/popbridge",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.restore(c.Context(), args[0], devices) },
	})
	c.Flags().BoolVar(&devices, "with-devices", false, "bring back the logins of mail programs and the certificate from any backup")
	return c
}

func (a *app) backup(ctx context.Context, args []string, replace bool) error {
	dir := "" // that of the last one
	for _, arg := range args {
		var err error
		if dir, err = filepath.Abs(arg); err != nil { // the agent has another working folder
			return err
		}
	}
	done, err := withProgress(ctx, a, func(ops operations.Operations, ctx context.Context, show func(operations.Progress)) ([]operations.Backup, error) {
		return ops.Backup(ctx, dir, replace, show)
	})
	if err != nil {
		return err
	}
	if cfg, err := a.loadConfig(); err == nil && dir == "" && !a.json {
		if last := operations.ReadLastBackup(cfg.DataDir); last != nil {
			a.printf("into %s\n", last.Dir)
		}
	}
	return a.showCopied(done, "backed up", "`"+a.command("check --repair")+"` repairs what can be repaired; then run the backup again")
}

func (a *app) restore(ctx context.Context, dir string, devices bool) error {
	cfg, err := a.loadConfig()
	if err == nil {
		err = a.asAccount()
	}
	if err != nil {
		return err
	}
	bars := a.newBars(ctx)
	done, err := operations.Restore(ctx, cfg, dir, operations.RestoreOptions{Log: a.commandLog(cfg), Progress: bars.show, Devices: devices})
	bars.end()
	if err != nil {
		return err
	}
	err = a.showCopied(done, "restored", "`"+a.command("sync")+"` fetches what the server still has")
	if !a.json {
		a.showDevices(done)
		for _, b := range done {
			if b.Held > 0 {
				a.printf("%s: held, because it may have been sent since the backup: %s that waited to be sent; once popbridge runs, decide with: %s\n", b.User, fault.Count(b.Held, "message"), a.command("outbox list"))
			}
		}
	}
	return err
}

// showDevices says which logins came with a backup, and whether they are in force.
func (a *app) showDevices(done []operations.Backup) {
	all := true
	for _, b := range done {
		all = all && b.LetIn
		switch names := strings.Join(b.Devices, ", "); {
		case names == "":
		case b.LetIn:
			a.printf("%s: can log in: %s; revoke what you do not know with: %s\n", b.User, names, a.command("device revoke NAME"))
		default:
			a.printf("%s: not restored, because this is not known to be the backup as it was written here: the devices %s\n", b.User, names)
		}
	}
	if !all {
		a.printf("Mail programs need a new password (%s) and get a new certificate. Where the backup\n"+
			"was always in your hands, move the folder users of the data folder away, and restore again with --with-devices.\n", a.command("device add NAME"))
	}
}

// showCopied shows what a backup or restore came to.
func (a *app) showCopied(done []operations.Backup, verb, hint string) error {
	if a.json {
		if err := a.printJSON(map[string]any{"users": append([]operations.Backup{}, done...)}); err != nil {
			return err
		}
	}
	missing := 0
	for _, b := range done {
		missing += len(b.Missing)
		if a.json {
			continue
		}
		a.printf("%s: %s %s, %s new, %s copied\n", b.User, fault.Count(b.Messages, "message"), verb, fault.Count(b.NewFiles, "file"), size(b.Bytes))
		for _, p := range b.Missing {
			a.printf("%s: %s: %s\n", b.User, p.Code, p.Text)
		}
	}
	if missing > 0 {
		return &failures{part: true, errs: []error{fault.New(fault.Corrupt, fault.Count(missing, "message file")+" could not be "+verb, hint)}}
	}
	return nil
}

// size writes a number of bytes.
func size(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "KB"}} {
		if n >= unit.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.bytes), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
