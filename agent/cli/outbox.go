package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newOutboxCommand() *cobra.Command {
	list := func(c *cobra.Command, _ []string) error { return a.listOutbox(c.Context()) }
	c := a.addJSON(parentOf("outbox", "Show and decide about mail that has not been sent yet",
		"What mail programs send through popbridge waits in the folder Outbox until the\n"+
			"server of the account has taken it. These commands show what waits, and why;\n"+
			"without one, it is listed.",
		a.addJSON(&cobra.Command{
			Use: "list", Short: "List the mail that has not been sent", Args: cobra.NoArgs,
			Example: "  popbridge outbox list", RunE: list,
		})))
	c.RunE = list
	for _, do := range []struct{ name, short, long, done string }{
		{"retry", "Try to send messages now", "Try to send messages now: such as wait, such as were held, the recipients that were\n" +
			"refused. Where it is not known whether the server took one, whoever should have it may\n" +
			"get it twice. With --all, and with --account, try all that wait; what is held, was\n" +
			"refused or is in doubt has to be named.", ""},
		{"hold", "Keep messages from being sent", "Keep messages from being sent until retry or drop.", "is held"},
		{"drop", "Do not send messages", "Do not send messages, and take them out of the Outbox. \"popbridge undelete\" can\n" +
			"bring them back, which does not send them.", "is sent to nobody any more"},
		{"sent", "Say that messages were sent", "Of messages of which it is not known whether the server took them: it did.\n" +
			"Recipients that the server had not taken before are still sent them.", "counts as sent"},
	} {
		d := outgoingChoice{do: do.name, done: do.done}
		sub := &cobra.Command{
			Use: do.name + " ID...", Short: do.short, Long: do.long,
			Example: "  popbridge outbox " + do.name + " 17",
			RunE:    func(c *cobra.Command, args []string) error { return a.decideOutgoing(c.Context(), d, args) },
		}
		sub.Flags().StringVar(&d.user, "user", "", "the `USER` whose messages these are, when there are several")
		if do.name == "retry" {
			sub.Use = "retry (ID... | --all | --account NAME)"
			sub.Example += "\n  popbridge outbox retry --all"
			sub.Flags().BoolVar(&d.all, "all", false, "try all that wait")
			sub.Flags().StringVar(&d.account, "account", "", "try all that wait for the account `NAME`")
		}
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
			a.printf("%s", a.choicesOf(m))
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

// choicesOf is a line that says how a person decides about a message that does not leave by
// itself.
func (a *app) choicesOf(m operations.OutboxMessage) string {
	command := func(do string) string { return a.command(fmt.Sprintf("outbox %s %d", do, m.ID)) }
	switch m.State {
	case "held":
		return fmt.Sprintf("%d: it is held; to send it: %s; not to: %s\n", m.ID, command("retry"), command("drop"))
	case "refused":
		return fmt.Sprintf("%d: to try again whom the server refused: %s; to give that up: %s\n", m.ID, command("retry"), command("drop"))
	case "unknown":
		return fmt.Sprintf("%d: it is not known whether the server took it; if it did: %s; if not: %s\n", m.ID, command("sent"), command("retry"))
	}
	return ""
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

// outgoingChoice is what a person has decided, and of which messages.
type outgoingChoice struct {
	do, done, user, account string
	all                     bool
}

func (a *app) decideOutgoing(ctx context.Context, d outgoingChoice, args []string) error {
	d.all = d.all || d.account != ""
	switch {
	case d.all && len(args) > 0:
		return fault.New(fault.Config, "ids of messages, and --all or --account, exclude each other", "leave one of them out")
	case !d.all && len(args) == 0:
		return fault.New(fault.Config, "it is not said which message", "`"+a.command("outbox list")+"` shows their ids")
	}
	of := map[string][]int64{} // by the user, "" for the only one
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return fault.New(fault.Config, fault.Quote(arg)+" is no id of a message", "`"+a.command("outbox list")+"` shows them")
		}
		of[d.user] = append(of[d.user], id)
	}
	return a.with(ctx, func(ops operations.Operations) error {
		if d.all {
			var err error
			if of, err = a.thatWait(ctx, ops, d); err != nil {
				return err
			}
		}
		done := d.done
		if _, opened := ops.(*operations.Local); d.do == "retry" {
			if done = "is tried now"; opened {
				done = "is tried once popbridge runs: " + a.command("run")
			}
		}
		var failed failures
		for _, user := range slices.Sorted(maps.Keys(of)) {
			decided, err := ops.DecideOutgoing(ctx, operations.Decide{User: user, IDs: of[user], Do: d.do})
			if err != nil {
				return err
			}
			for _, m := range decided {
				switch {
				case m.Error == "":
					failed.part = true
					a.printf("message %d %s\n", m.ID, done)
				case d.all && (m.Kind == fault.NotFound.String() || m.Kind == fault.Conflict.String()): // it has left, or leaves, since it was looked up
				default:
					failed.errs = append(failed.errs, fault.New(fault.Temporary, fmt.Sprintf("message %d: %s", m.ID, m.Error), m.Hint))
				}
			}
		}
		if len(failed.errs) > 0 {
			return &failed
		}
		return nil
	})
}

// thatWait are all messages that wait, by their users. It says what it leaves out.
func (a *app) thatWait(ctx context.Context, ops operations.Operations, d outgoingChoice) (of map[string][]int64, err error) {
	if d.account != "" {
		cfg, err := a.loadConfig()
		if err != nil {
			return nil, err
		}
		at, err := editing.Index(cfg, d.account)
		if err != nil {
			return nil, err
		}
		d.account = cfg.Accounts[at].Name
	}
	list, err := ops.Outbox(ctx)
	of = map[string][]int64{}
	others := 0
	for _, m := range list {
		switch {
		case d.user != "" && !strings.EqualFold(m.User, d.user), d.account != "" && m.Account != d.account:
		case m.State == "waiting":
			of[m.User] = append(of[m.User], m.ID)
		case m.State != "sending":
			others++
		}
	}
	if err == nil && len(of) == 0 {
		a.printf("nothing waits to be tried\n")
	}
	if others > 0 {
		a.printf("not tried, for you to decide about: %s; they are shown by: %s\n", fault.Count(others, "message"), a.command("outbox list"))
	}
	return of, err
}
