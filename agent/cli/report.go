package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newReportCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "report",
		Short: "Make a support bundle without secrets or mail",
		Long: "Makes a .zip for who helps you: version, config, state and log, without passwords,\n" +
			"mail and subjects. Names and addresses are replaced by others such as account-1; the\n" +
			"README.txt in it says what is in which file. Nothing is sent anywhere. The log is\n" +
			"that of the running agent.",
		Example: "  popbridge report\n  popbridge report --out report.zip",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.report(c.Context(), out) },
	}
	c.Flags().StringVar(&out, "out", "", "the `FILE` to write (default: popbridge-report-TIME.zip here)")
	return a.addJSON(c)
}

func (a *app) report(ctx context.Context, out string) error {
	r, err := ask(ctx, a, func(ops operations.Operations, ctx context.Context, _ struct{}) (operations.Report, error) {
		return ops.Report(ctx)
	}, struct{}{})
	if err != nil {
		return err
	}
	if out == "" {
		out = r.Name
	}
	if err := writeNew(out, r.Zip); errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, out+" is there already", "name another file with --out")
	} else if err != nil {
		return fault.Wrap(err, fault.Config, "the report cannot be written to "+out, "name another file with --out")
	}
	if a.json {
		return a.printJSON(map[string]any{"file": out, "files": r.Files})
	}
	a.printf("%s was written, with %s\nLook through it before you send it.\n", out, strings.Join(r.Files, ", "))
	return nil
}

// writeNew writes a file that is not there yet, for this user only.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
