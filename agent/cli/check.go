package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newCheckCommand() *cobra.Command {
	var repair bool
	c := a.addJSON(&cobra.Command{
		Use:   "check",
		Short: "Verify the stored mail: message files, index, counts",
		Long: "Verify the stored mail: message files against their hashes, the index against\n" +
			"the files, the counts. With --repair what can be repaired is repaired: counts, an\n" +
			"index that was lost or damaged, files that the server still has. No UID changes.\n" +
			"It may run while the agent runs; only an index that the agent has open and that\n" +
			"is damaged beyond use takes a stopped agent.",
		Example: "  popbridge check\n  popbridge check --repair",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if repair {
				return a.repair(c.Context())
			}
			return a.check(c.Context())
		},
	})
	c.Flags().BoolVar(&repair, "repair", false, "repair what can be repaired")
	return c
}

func (a *app) check(ctx context.Context) error {
	found, err := withProgress(ctx, a, operations.Operations.Check)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(map[string]any{"problems": append([]operations.Problem{}, found...)})
	} else {
		for _, p := range found {
			a.printf("%s: %s: %s\n", p.User, p.Code, p.Text)
		}
	}
	switch {
	case err != nil:
		return err
	case len(found) > 0:
		return fault.New(fault.Corrupt, "the stored mail has "+fault.Count(len(found), "problem"), "`"+a.command("check --repair")+"` repairs what can be repaired here, and a `"+a.command("sync")+"` after it fetches what a server still has; "+
			"what is named even then is in a backup, or is deleted in a mail program; what is not named is unharmed")
	case !a.json:
		a.printf("no problems found\n")
	}
	return nil
}

func (a *app) repair(ctx context.Context) error {
	done, err := withProgress(ctx, a, operations.Operations.Repair)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(map[string]any{"users": append([]operations.Repaired{}, done...)})
	}
	left, wanted := 0, 0
	for _, r := range done {
		left += len(r.Left)
		wanted += r.Wanted
		if !a.json {
			a.printRepaired(r)
		}
	}
	switch {
	case err != nil:
		return err
	case wanted > 0:
		return &failures{part: true, errs: []error{fault.New(fault.Corrupt, fault.Count(wanted, "message")+" lost the file here",
			"`"+a.command("sync")+"` fetches what a server still has, and `"+a.command("check")+"` then names the rest: copy those files from a backup, "+
				"from users/NAME/mail there to the same place here, or delete the messages in a mail program")}}
	case left > 0:
		return &failures{part: true, errs: []error{fault.New(fault.Corrupt, fault.Count(left, "problem")+" cannot be repaired here",
			"restore what is named from a backup; what is not named is unharmed")}}
	}
	return nil
}

func (a *app) printRepaired(r operations.Repaired) {
	if r.Rebuilt {
		a.printf("%s: the index was rebuilt\n", r.User)
	}
	for _, p := range r.Repaired {
		a.printf("%s: repaired: %s: %s\n", r.User, p.Code, p.Text)
	}
	if r.Recovered > 0 {
		a.printf("%s: %s of unknown origin in the mailbox Recovered\n", r.User, fault.Count(r.Recovered, "message"))
	}
	for _, p := range r.Left {
		a.printf("%s: left: %s: %s\n", r.User, p.Code, p.Text)
	}
	if r.Aside != "" {
		a.printf("%s: what was damaged is in %s\n", r.User, r.Aside)
	}
	if !r.Rebuilt && len(r.Repaired)+len(r.Left)+r.Recovered == 0 {
		a.printf("%s: nothing to repair\n", r.User)
	}
}
