package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// undeleteFlags say what is listed or, with all, restored.
type undeleteFlags struct {
	operations.ExpungedQuery
	since string
	all   bool
}

// shownExpunged is how many messages are listed unless --limit says otherwise.
const shownExpunged = 50

func (a *app) newUndeleteCommand() *cobra.Command {
	var f undeleteFlags
	c := a.addJSON(&cobra.Command{
		Use:   "undelete [ID...]",
		Short: "List and restore messages that were deleted here",
		Long: "Without arguments, list the messages that were expunged and can be restored, the\n" +
			"last one first. With their ids, or with --all, put them back into the mailboxes\n" +
			"they came from, under new UIDs. They can be restored for as long as\n" +
			"keep_expunged in the config says.",
		Example: "  popbridge undelete --match invoice\n  popbridge undelete 17 18\n  popbridge undelete --all --mailbox INBOX --since 2d",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 || f.all {
				return a.undelete(c.Context(), f, args)
			}
			return a.listExpunged(c.Context(), f)
		},
	})
	c.Flags().StringVar(&f.User, "user", "", "the `USER` whose messages these are, when there are several")
	c.Flags().StringVar(&f.Mailbox, "mailbox", "", "only those that were in the mailbox `NAME`")
	c.Flags().StringVar(&f.Match, "match", "", "only those with this `TEXT` in sender or subject")
	c.Flags().StringVar(&f.since, "since", "", "only those deleted within this `TIME`, such as 2d or 3h")
	c.Flags().IntVar(&f.Limit, "limit", shownExpunged, "list at most `N` of each user; 0: all")
	c.Flags().BoolVar(&f.all, "all", false, "restore all of these")
	return c
}

// query is what the flags ask for at this moment.
func (f undeleteFlags) query(now time.Time) (operations.ExpungedQuery, error) {
	q := f.ExpungedQuery
	if f.since != "" {
		d, err := readSince(f.since)
		if err != nil {
			return q, err
		}
		since := now.Add(-d)
		q.Since = &since
	}
	if f.all {
		q.Limit = 0
	}
	return q, nil
}

// readSince reads "90m", "3h" or "2d".
func readSince(s string) (time.Duration, error) {
	d, err := config.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Config, "--since "+fault.Quote(s)+" is not a time", "write a number with a unit: 30m, 3h or 2d")
	}
	return d, nil
}

func (a *app) listExpunged(ctx context.Context, f undeleteFlags) error {
	q, err := f.query(time.Now())
	if err != nil {
		return err
	}
	return a.with(ctx, func(ops operations.Operations) error {
		list, err := ops.Expunged(ctx, q)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.printJSON(map[string]any{"expunged": list})
		case len(list) == 0:
			a.printf("nothing to restore\n")
			return nil
		}
		now := time.Now()
		var t table
		t.row("USER", "ID", "MAILBOX", "DELETED", "DATE", "FROM", "SUBJECT")
		for _, m := range list {
			t.row(m.User, fmt.Sprint(m.ID), m.Mailbox, when(&m.ExpungedAt, now, ""), m.Received.Local().Format("2006-01-02 15:04"),
				shorten(m.From, 30), shorten(m.Subject, 50))
		}
		if err := t.print(a.stdout); err != nil {
			return err
		}
		if q.Limit > 0 && len(list) >= q.Limit {
			a.printf("There may be more: --limit 0 lists all, --mailbox, --match and --since choose.\n")
		}
		a.printf("Restore with: %s\n", a.command("undelete ID..."))
		return nil
	})
}

// shorten keeps a cell to n characters, and what it holds from playing with
// the terminal.
func shorten(s string, n int) string {
	r := []rune(strings.Map(printable, s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

func printable(r rune) rune {
	if !strconv.IsPrint(r) {
		return ' '
	}
	return r
}

func (a *app) undelete(ctx context.Context, f undeleteFlags, args []string) error {
	wanted := operations.Undelete{User: f.User}
	switch {
	case f.all && len(args) > 0:
		return fault.New(fault.Config, "--all and ids exclude each other", "leave one of them out")
	case f.all:
		q, err := f.query(time.Now())
		if err != nil {
			return err
		}
		wanted.All = &q
	}
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id <= 0 {
			return fault.New(fault.Config, fault.Quote(arg)+" is not the id of a message", "`"+a.command("undelete")+"` lists them")
		}
		wanted.IDs = append(wanted.IDs, id)
	}
	restored, err := ask(ctx, a, operations.Operations.Undelete, wanted)
	if err != nil {
		return err
	}
	return a.showRestored(wanted, restored)
}

func (a *app) showRestored(wanted operations.Undelete, restored []operations.Restored) error {
	found := map[int64]bool{}
	into := map[string]int{}
	var mailboxes []string
	for _, r := range restored {
		found[r.ID] = true
		if into[r.Mailbox] == 0 {
			mailboxes = append(mailboxes, r.Mailbox)
		}
		into[r.Mailbox]++
	}
	missing := failures{part: len(restored) > 0}
	lost := []int64{}
	for _, id := range wanted.IDs {
		if !found[id] {
			lost = append(lost, id)
			missing.errs = append(missing.errs, fault.New(fault.NotFound, fmt.Sprintf("there is no deleted message %d", id),
				"it was restored already, or its time is over; `"+a.command("undelete")+"` lists what can be restored"))
		}
	}
	var err error
	switch {
	case a.json:
		err = a.printJSON(map[string]any{"restored": restored, "missing": lost})
	case len(restored) == 0 && len(lost) == 0:
		a.printf("nothing to restore\n")
	}
	for _, name := range mailboxes {
		if !a.json {
			a.printf("%s restored to %s\n", fault.Count(into[name], "message"), name)
		}
	}
	if len(missing.errs) > 0 {
		return &missing
	}
	return err
}
