package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

// shownDeletions is how many messages of an account are listed for a person.
const shownDeletions = 10

func (a *app) preview(ctx context.Context, accounts []string) error {
	previews, err := ask(ctx, a, operations.Operations.Preview, accounts)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(map[string]any{"accounts": previews})
	}
	var failed failures
	for _, p := range previews {
		if p.Error != "" {
			failed.errs = append(failed.errs, fault.New(fault.Temporary, p.Account+": "+p.Error, p.Hint))
			continue
		}
		failed.part = true
		if !a.json {
			a.printf("%s", a.previewText(p, time.Now()))
		}
	}
	if len(failed.errs) > 0 {
		return &failed
	}
	return err
}

func (a *app) previewText(p operations.Preview, now time.Time) string {
	due, kept, policy := len(p.Delete), p.Kept, p.Policy
	if p.Shadow && due > 0 {
		due, kept, policy = 0, kept+due, fmt.Sprintf("shadow = true; by %s it would be %d", policy, due)
	}
	text := fmt.Sprintf("%s: %d to fetch, %d to delete on the server, %d to keep there (%s)\n", p.Account, p.Fetch, due, kept, policy)
	text += deletionsText(p.Delete, len(p.Delete), "--json", now)
	switch {
	case len(p.Delete) == 0:
	case p.Shadow:
		text += "  Nothing of this is deleted: shadow = true.\n"
	case p.NeedsConfirm:
		text += "  Nothing of this is deleted before: " + a.command("account confirm "+p.Account) + "\n"
	}
	if p.Doubtful > 0 {
		text += fmt.Sprintf("  Kept there because less came than is listed: %s, until: %s\n", fault.Count(p.Doubtful, "message"), a.command("account confirm --incomplete "+p.Account)) +
			deletionsText(p.Incomplete, p.Doubtful, "--json", now)
	}
	return text
}

// deletionsText lists the first of total messages; all is what shows the rest.
func deletionsText(list []operations.Deletion, total int, all string, now time.Time) (text string) {
	list = list[:min(len(list), shownDeletions)]
	for _, d := range list {
		text += fmt.Sprintf("  %s, %s, stored %s: %s\n", deletionName(d), size(d.Size), when(d.StoredAt, now, "in the same poll"), d.Reason)
	}
	if total > len(list) {
		text += fmt.Sprintf("  and %d more; %s shows all\n", total-len(list), all)
	}
	return text
}

// deletionName is date, sender and subject, or the id of what is not here yet.
func deletionName(d operations.Deletion) string {
	name := shorten(cmp.Or(d.Subject, "(no subject)"), 50)
	if d.From != "" {
		name = shorten(d.From, 30) + ", " + name
	}
	switch {
	case d.Date != nil:
		return d.Date.Local().Format("2006-01-02 15:04") + ", " + name
	case d.Subject == "" && d.From == "":
		return shorten(d.UIDL, 40)
	default:
		return name
	}
}
