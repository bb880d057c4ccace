package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newStatusCommand() *cobra.Command {
	var serving, history bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show accounts, health, connected mail programs and the next poll",
		Long: "Shows accounts, health, connected mail programs and the next poll. The exit code is 0\n" +
			"whatever it shows; programs read `health` of --json. --serving is for what watches the\n" +
			"agent, as a container does: exit code 1 unless one answers and takes mail programs.",
		Example: "  popbridge status\n  popbridge status --json | jq -r '.health[].text'\n  popbridge status --serving\n  popbridge status --history",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case serving && a.json:
				return fault.New(fault.Config, "--serving has no JSON", "omit one of them: the exit code of --serving is its answer, --json tells all")
			case history:
				return a.history(c.Context())
			case serving:
				return a.serving(c.Context())
			}
			return a.status(c.Context())
		},
	}
	c.Flags().BoolVar(&serving, "serving", false, "only say whether an agent answers and takes mail programs")
	c.Flags().BoolVar(&history, "history", false, "how much mail came on each of the last 90 days")
	c.MarkFlagsMutuallyExclusive("serving", "history")
	return a.addJSON(c)
}

func (a *app) history(ctx context.Context) error {
	days, err := ask(ctx, a, func(ops operations.Operations, ctx context.Context, _ struct{}) ([]state.Day, error) {
		return ops.History(ctx)
	}, struct{}{})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"days": days})
	}
	var t table
	t.row("DAY", "NEW MESSAGES", "ALL MAIL")
	for _, d := range days {
		t.row(d.Day, strconv.FormatInt(d.Messages, 10), size(d.Bytes))
	}
	return t.print(a.stdout)
}

// serving asks a running agent and nothing else: it opens no data folder, which an
// agent that starts at this moment needs.
func (a *app) serving(ctx context.Context) error {
	path, err := filepath.Abs(a.configPath)
	if err != nil {
		return fault.Wrap(err, fault.Config, "the path of the config file cannot be made absolute", "name the whole path with --config")
	}
	running := state.Open("", path).Running()
	switch {
	case running == nil:
		return fault.New(fault.NotFound, "no agent is running with the config "+path, "`"+a.command("status")+"` says why the last one ended")
	case running.Waiting != "":
		return fault.New(fault.Temporary, "the agent waits: "+running.Waiting, "")
	}
	client, err := control.Connect(ctx, running.DataDir)
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err = errors.Join(err, client.Close()); err != nil {
		return err
	}
	if len(s.Listen) == 0 {
		return fault.New(fault.Temporary, "no mail program can connect to the agent", "`"+a.command("status")+"` says why")
	}
	a.printf("serving mail on %s\n", strings.Join(s.Listen, ", "))
	return nil
}

func (a *app) status(ctx context.Context) error {
	var s operations.Status
	outgoing := []operations.OutboxMessage{}
	err := a.with(ctx, func(ops operations.Operations) (err error) {
		if s, err = ops.Status(ctx); err != nil {
			return err
		}
		if list, err := ops.Outbox(ctx); err == nil { // a store that cannot be opened is a condition already
			outgoing = list
		}
		return nil
	})
	if agent.Waits(err) { // the data folder cannot be opened
		cfg, configErr := a.loadConfig()
		if configErr != nil {
			return err
		}
		s, err = agent.Unusable(cfg, agent.Options{}, err), nil
	}
	switch {
	case err != nil:
		return err
	case a.json:
		return a.printJSON(struct {
			operations.Status
			Outgoing []operations.OutboxMessage `json:"outgoing"`
			Services []installer.State          `json:"services"`
		}{s, outgoing, a.serviceStates()})
	default:
		return a.printStatus(s, outgoing, a.serviceStates(), time.Now())
	}
}

// serviceStates is what the service manager says of the services that are
// installed. What it does not answer is not known, and no reason to fail.
func (a *app) serviceStates() []installer.State {
	states := []installer.State{}
	o, err := a.serviceOptions(false)
	if err != nil {
		return states
	}
	for _, s := range installer.Installed(o) {
		if state, err := s.State(); err == nil {
			states = append(states, state)
		}
	}
	return states
}

// serviceText is a line about a service.
func serviceText(s installer.State, now time.Time) string {
	text := string(s.Status)
	if s.System {
		text += ", one of the whole system"
	} else {
		text += ", one of this user"
	}
	if s.Restarts > 0 {
		text += ", started again after a failure " + fault.Count(s.Restarts, "time")
	}
	if s.LastEnd != "" {
		ended := strings.TrimSpace("it ended " + when(s.EndedAt, now, ""))
		text += "; " + ended + ": " + s.LastEnd + "; its log: `popbridge logs`"
	}
	return text
}

func (a *app) printStatus(s operations.Status, outgoing []operations.OutboxMessage, services []installer.State, now time.Time) error {
	var accounts table
	accounts.row("ACCOUNT", "STATE", "STORED", "ON SERVER", "LAST SUCCESS", "NEXT POLL") // the last error is below, in health
	for _, acc := range s.Accounts {
		state := acc.State
		if !s.Running && state == "idle" {
			state = "not running"
		}
		onServer := "-" // not known before the first listing
		if acc.LastSuccess != nil || acc.OnServer > 0 {
			onServer = fmt.Sprint(acc.OnServer)
		}
		accounts.row(acc.Name, state, fmt.Sprint(acc.Stored), onServer,
			when(acc.LastSuccess, now, "never"), when(acc.NextPoll, now, "-"))
	}
	var out strings.Builder
	out.WriteString(mailText(s, now))
	head := statusHead(s, a.outboxText(outgoing, now), services, now)
	err := head.print(&out)
	out.WriteString("\n")
	err = errors.Join(err, accounts.print(&out))
	for _, acc := range s.Accounts {
		for _, p := range acc.Problems {
			fmt.Fprintf(&out, "%s: a message waits: %s\n", acc.Name, p)
		}
		for _, n := range acc.Notes {
			fmt.Fprintf(&out, "%s: %s\n", acc.Name, n)
		}
		out.WriteString(a.dueText(acc, now))
		if acc.Expire != "" {
			fmt.Fprintf(&out, "%s: %s\n", acc.Name, acc.Expire)
		}
	}
	out.WriteString(healthText(s.Health))
	_, writeErr := io.WriteString(a.stdout, out.String())
	return errors.Join(err, writeErr)
}

// outboxText is a line about the mail that has not left: how many messages, when the first
// of them is tried next, and what keeps it; "" where all has left.
func (a *app) outboxText(list []operations.OutboxMessage, now time.Time) string {
	if len(list) == 0 {
		return ""
	}
	first := list[0]
	for _, m := range list {
		if m.Next != nil && (first.Next == nil || m.Next.Before(*first.Next)) {
			first = m
		}
	}
	text := fault.Count(len(list), "message") + " not sent yet"
	if first.Next != nil {
		text += ", the next try " + when(first.Next, now, "")
	}
	if first.Error != "" {
		text += " (" + printableLine(first.Error) + ")"
	}
	return text + "; all of them: `" + a.command("outbox") + "`"
}

// statusHead is what concerns no account.
func statusHead(s operations.Status, outbox string, services []installer.State, now time.Time) (head table) {
	state := "not running"
	if s.Running {
		state = fmt.Sprintf("running as process %d", s.PID)
	}
	head.row("agent", state)
	if len(s.Listen) > 0 {
		head.row("imap", fmt.Sprintf("%s, %s connected%s", strings.Join(s.Listen, ", "), fault.Count(s.Clients, "client"), named(s.Programs)))
	}
	if len(s.LAN.Listen) > 0 {
		head.row("lan", fmt.Sprintf("%s, %s connected", strings.Join(s.LAN.Listen, ", "), fault.Count(len(s.LAN.Clients), "client")))
	}
	for _, c := range s.LAN.Clients {
		var programs []string
		if c.Program != "" {
			programs = []string{c.Program}
		}
		head.row("", fmt.Sprintf("%s of %s from %s since %s%s", c.Device, c.User, c.Address, when(&c.Since, now, ""), named(programs)))
	}
	if len(s.LAN.SMTP) > 0 {
		head.row("", "sending: "+strings.Join(s.LAN.SMTP, ", "))
	}
	if outbox != "" {
		head.row("outbox", outbox)
	}
	if end := s.LastEnd; end != nil {
		text := end.Reason
		if end.At != nil {
			text = when(end.At, now, "") + ": " + text
		}
		head.row("last end", text)
	}
	for _, service := range services {
		head.row("service", serviceText(service, now))
	}
	head.row("data", s.DataDir)
	if len(s.Health) == 0 {
		head.row("health", "good")
	}
	return head
}

// mailText says in plain words, in lines, whether mail is flowing, and if not,
// since when and why. Each error among the conditions has its line, and so has what stops
// sending, which a passing failure of a network does.
func mailText(s operations.Status, now time.Time) string {
	var lines []string
	waiting := 0
	for _, acc := range s.Accounts {
		switch {
		case acc.LastError != "":
			lines = append(lines, fmt.Sprintf("no mail comes from %s (the last poll that went through: %s): %s", acc.Name, when(acc.LastSuccess, now, "never"), acc.LastError))
		case acc.State == "paused":
			lines = append(lines, fmt.Sprintf("mail from %s does not come: it is paused", acc.Name))
		case acc.LastSuccess == nil:
			waiting++
		}
	}
	for _, c := range s.Health {
		told := func(acc operations.Account) bool {
			return acc.LastError != "" && strings.Contains(c.Text, acc.LastError)
		}
		if (c.Severity == health.Error || c.StopsSending()) && !slices.ContainsFunc(s.Accounts, told) {
			first, _, _ := strings.Cut(c.Text, "\n")
			lines = append(lines, first)
		}
	}
	switch {
	case !s.Running:
		first := "no mail is fetched: no agent is running"
		if why := s.LastEnd.Failure(); why != "" {
			first += "; the last one ended: " + why
		}
		lines = append([]string{first}, lines...)
	case len(lines) > 0:
	case len(s.Accounts) == 0:
		lines = []string{"no mail is fetched: there is no account"}
	case waiting == len(s.Accounts):
		lines = []string{"waiting for the first answer of a server"}
	case len(s.Health) > 0:
		lines = []string{"mail is flowing; " + fault.Count(len(s.Health), "warning") + " below"}
	default:
		lines = []string{"mail is flowing"}
	}
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ") + "\n"
	}
	return strings.Join(lines, "") + "\n"
}

// dueText says what would be deleted on the server, before it is.
func (a *app) dueText(acc operations.Account, now time.Time) string {
	n := acc.DeletionsTotal
	if n == 0 {
		return ""
	}
	text := "%s: %s on the server will be deleted at the next poll:\n"
	if acc.Awaiting > 0 {
		text = "%s: %s on the server would be deleted once that is confirmed:\n"
	}
	return fmt.Sprintf(text, acc.Name, fault.Count(n, "message")) +
		deletionsText(acc.Deletions, n, "`"+a.command("sync --dry-run --json "+acc.Name)+"`", now)
}

func healthText(conditions []health.Condition) string {
	if len(conditions) == 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("\nHEALTH\n")
	for _, c := range conditions {
		fmt.Fprintf(&out, "%s  %s  %s\n", c.Severity, c.Code, strings.ReplaceAll(c.Text, "\n", "\n  "))
		if c.Hint != "" {
			fmt.Fprintf(&out, "  hint: %s\n", c.Hint)
		}
	}
	return out.String()
}

// when writes a moment as a person would, from now.
func when(at *time.Time, now time.Time, none string) string {
	if at == nil {
		return none
	}
	d := at.Sub(now)
	switch {
	case d > 0:
		return "in " + roughly(d)
	case d > -time.Second:
		return "now"
	default:
		return roughly(-d) + " ago"
	}
}

func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}
