package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newSyncCommand() *cobra.Command {
	var dryRun bool
	c := a.addJSON(&cobra.Command{
		Use:   "sync [ACCOUNT...]",
		Short: "Poll accounts now and wait for the end of it",
		Long: "Poll the named accounts now, or all of them, and wait. A running agent is asked\n" +
			"to do it; without one this command polls by itself. The exit code is 0 when every\n" +
			"account went through, 3 when some did, 1 when none did. With --dry-run nothing is\n" +
			"fetched or deleted: it shows what would be.",
		Example: "  popbridge sync\n  popbridge sync home work\n  popbridge sync --dry-run home",
		RunE: func(c *cobra.Command, args []string) error {
			if dryRun {
				return a.preview(c.Context(), args)
			}
			return a.sync(c.Context(), args)
		},
	})
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be fetched, and deleted on the server, and do nothing")
	return c
}

func (a *app) sync(ctx context.Context, accounts []string) error {
	results, err := withProgress(ctx, a, func(ops operations.Operations, ctx context.Context, show func(operations.Progress)) ([]operations.SyncResult, error) {
		return ops.Sync(ctx, accounts, show)
	})
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(map[string]any{"accounts": results})
	}
	var failed failures
	good := 0
	for _, r := range results {
		switch {
		case r.Error != "":
			failed.errs = append(failed.errs, fault.New(fault.Temporary, r.Account+": "+r.Error, r.Hint))
			continue
		case r.Paused:
			if !a.json {
				a.printf("%s: paused; `%s` polls it again\n", r.Account, a.command("account resume "+r.Account))
			}
			continue
		case r.Problems > 0:
			failed.errs = append(failed.errs, fault.New(fault.Temporary,
				fmt.Sprintf("%s: %s could not be fetched", r.Account, fault.Count(r.Problems, "message")),
				"they are tried again later; `"+a.command("status")+"` names the reasons"))
		}
		if r.Refused > 0 {
			failed.errs = append(failed.errs, fault.New(fault.Temporary,
				fmt.Sprintf("%s: the server refused %s: %s", r.Account, fault.Count(r.Refused, "deletion"), r.RefusedSaid),
				"delete them in the provider's web mail, or ask the provider"))
		}
		good++
		if !a.json {
			deleted := ""
			if r.Deleted > 0 {
				deleted = fmt.Sprintf(", %d deleted on the server", r.Deleted)
			}
			a.printf("%s: %d new, %d stored, %s%s\n", r.Account, r.New, r.Stored, fault.Count(r.Problems, "problem"), deleted)
			for _, text := range r.Left {
				a.printf("%s: left: %s\n", r.Account, text)
			}
			if r.Incomplete > 0 {
				a.printf("%s: of %s less came than the server lists; what came is stored, and nothing of it is deleted there\n", r.Account, fault.Count(r.Incomplete, "message"))
			}
			if r.Awaiting > 0 {
				a.printf("%s: %s on the server wait for: %s\n", r.Account, fault.Count(r.Awaiting, "deletion"), a.command("account confirm "+r.Account))
			}
		}
	}
	if len(failed.errs) > 0 {
		failed.part = good > 0
		return &failed
	}
	return err
}
