package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newCheckCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:   "check",
		Short: "Verify the stored mail: files against hashes, index against files, counts",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.check(c.Context()) },
	})
}

func (a *app) check(ctx context.Context) error {
	var found []control.Problem
	err := a.with(ctx, func(ops control.Operations) (err error) {
		bars := a.newBars(ctx)
		defer bars.end()
		found, err = ops.Check(ctx, bars.show)
		return err
	})
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(map[string]any{"problems": append([]control.Problem{}, found...)})
	} else {
		for _, p := range found {
			a.printf("%s: %s: %s\n", p.User, p.Code, p.Text)
		}
	}
	switch {
	case err != nil:
		return err
	case len(found) > 0:
		return fault.New(fault.Corrupt, "the stored mail has "+count(len(found), "problem"), "keep the data folder as it is and report this; what is not named is unharmed")
	case !a.json:
		a.printf("no problems found\n")
	}
	return nil
}
