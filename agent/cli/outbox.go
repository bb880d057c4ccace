package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newOutboxCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "outbox",
		Short: "Show and decide about mail that has not been sent yet",
		Long: "What mail programs send through popbridge waits in the folder Outbox until the\n" +
			"server of the account has taken it. These commands show what waits, and why.",
	}
	c.AddCommand(a.addJSON(&cobra.Command{
		Use: "list", Short: "List the mail that has not been sent", Args: cobra.NoArgs,
		Example: "  popbridge outbox list",
		RunE:    func(c *cobra.Command, _ []string) error { return a.listOutbox(c.Context()) },
	}))
	for _, do := range []struct{ name, short, long, done string }{
		{"retry", "Try to send a message now", "Try to send a message now: one that waits, one that was held, the recipients that were\n" +
			"refused. Where it is not known whether the server took it, whoever should have\n" +
			"it may get it twice.", "is tried now"},
		{"hold", "Keep a message from being sent", "Keep a message from being sent until retry or drop.", "is held"},
		{"drop", "Do not send a message", "Do not send a message, and take it out of the Outbox. \"popbridge undelete\" can\n" +
			"bring it back, which does not send it.", "is not sent"},
		{"sent", "Say that a message was sent", "Of a message of which it is not known whether the server took it: it did.\n" +
			"Recipients that the server had not taken before are still sent it.", "counts as sent"},
	} {
		var user string
		sub := &cobra.Command{
			Use: do.name + " ID", Short: do.short, Long: do.long, Args: cobra.ExactArgs(1),
			Example: "  popbridge outbox " + do.name + " 17",
			RunE: func(c *cobra.Command, args []string) error {
				return a.decideOutgoing(c.Context(), operations.Decide{User: user, Do: do.name}, args[0], do.done)
			},
		}
		sub.Flags().StringVar(&user, "user", "", "the `USER` whose message it is, when there are several")
		c.AddCommand(sub)
	}
	return c
}

func (a *app) listOutbox(ctx context.Context) error {
	return a.with(ctx, func(ops operations.Operations) error {
		list, err := ops.Outbox(ctx)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.printJSON(map[string]any{"outgoing": list})
		case len(list) == 0:
			a.printf("everything was sent\n")
			return nil
		}
		now := time.Now()
		var t table
		t.row("USER", "ID", "STATE", "ACCOUNT", "SINCE", "NEXT", "TO", "SUBJECT")
		for _, m := range list {
			t.row(m.User, fmt.Sprint(m.ID), m.State, m.Account, when(&m.Queued, now, ""), when(m.Next, now, "-"), shorten(unsent(m), 40), shorten(m.Subject, 40))
		}
		if err := t.print(a.stdout); err != nil {
			return err
		}
		if _, opened := ops.(*operations.Local); opened {
			a.printf("popbridge is not running, so nothing is sent; start it: %s\n", a.command("run"))
		}
		for _, m := range list {
			a.printf("%s", whyUnsent(m))
			for _, r := range m.Recipients {
				if r.State == "refused" {
					a.printf("%d: %s was refused: %s\n", m.ID, printableLine(r.Address), printableLine(r.Reply))
				}
			}
			if m.State == "held" {
				a.printf("%d: it is held; to send it: %s; not to: %s\n", m.ID, a.command(fmt.Sprintf("outbox retry %d", m.ID)), a.command(fmt.Sprintf("outbox drop %d", m.ID)))
			}
			if m.State == "unknown" {
				a.printf("%d: it is not known whether the server took it; if it did: %s; if not: %s\n", m.ID, a.command(fmt.Sprintf("outbox sent %d", m.ID)), a.command(fmt.Sprintf("outbox retry %d", m.ID)))
			}
		}
		return nil
	})
}

// whyUnsent is a line about what keeps a message, or all mail of its account.
func whyUnsent(m operations.OutboxMessage) string {
	tried := ""
	switch {
	case m.Error == "":
		return ""
	case m.OfAccount:
		tried = "it waits with all mail of account " + m.Account + ": "
	case m.Attempts > 0:
		tried = "tried " + fault.Count(m.Attempts, "time") + ": "
	}
	return fmt.Sprintf("%d: %s\n", m.ID, printableLine(tried+m.Error))
}

// unsent are the recipients that have not got a message.
func unsent(m operations.OutboxMessage) string {
	var list []string
	for _, r := range m.Recipients {
		if r.State != "sent" {
			list = append(list, r.Address)
		}
	}
	return strings.Join(list, ", ")
}

func printableLine(s string) string { return strings.Map(printable, s) }

func (a *app) decideOutgoing(ctx context.Context, ask operations.Decide, id, done string) error {
	var err error
	if ask.ID, err = strconv.ParseInt(id, 10, 64); err != nil {
		return fault.New(fault.Config, fault.Quote(id)+" is no id of a message", "`"+a.command("outbox list")+"` shows them")
	}
	return a.with(ctx, func(ops operations.Operations) error {
		if _, err := ops.DecideOutgoing(ctx, ask); err != nil {
			return err
		}
		a.printf("message %d %s\n", ask.ID, done)
		return nil
	})
}
