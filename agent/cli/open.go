package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newOpenCommand() *cobra.Command {
	var print, sessions bool
	var signOut string
	c := &cobra.Command{
		Use:   "open",
		Short: "Open the web page of the running agent in the browser, signed in",
		Long: "Opens the web page in the browser of this user, signed in. The address works once,\n" +
			"within a minute; the browser then stays signed in for up to 30 days. Where there is\n" +
			"no browser to be started, the address is printed. --sessions lists the browsers\n" +
			"that are signed in, --sign-out ends one, or all of them.",
		Example: "  popbridge open\n  popbridge open --print\n  popbridge open --sessions\n  popbridge open --sign-out all",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case signOut != "":
				return a.signOut(c.Context(), signOut)
			case sessions:
				return a.webSessions(c.Context())
			}
			return a.open(c.Context(), print)
		},
	}
	f := c.Flags()
	f.BoolVar(&print, "print", false, "print the address instead of opening it")
	f.BoolVar(&sessions, "sessions", false, "list the browsers that are signed in")
	f.StringVar(&signOut, "sign-out", "", "sign out the browser with this `ID`, or all")
	c.MarkFlagsMutuallyExclusive("print", "sessions", "sign-out")
	return a.addJSON(c)
}

func (a *app) open(ctx context.Context, print bool) error {
	address, err := ask(ctx, a, operations.Operations.OpenWeb, operations.OpenWeb{UID: browserUser()})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(address)
	}
	if !print {
		if err = startBrowser(ctx, address.URL); err == nil {
			a.printf("the web page was opened in the browser\n")
			return nil
		}
		a.printf("%s; open this address, within a minute:\n", err)
	}
	a.printf("%s\n", address.URL)
	if !print && os.Getenv("SSH_CONNECTION") != "" {
		a.printf("From the computer in front of you: ssh -L 1180:127.0.0.1:1180 first, where 1180 is the port above.\n")
	}
	return nil
}

func (a *app) webSessions(ctx context.Context) error {
	list, err := ask(ctx, a, func(ops operations.Operations, ctx context.Context, _ struct{}) ([]operations.WebSession, error) {
		return ops.WebSessions(ctx)
	}, struct{}{})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"sessions": list})
	}
	if len(list) == 0 {
		a.printf("no browser is signed in\n")
		return nil
	}
	var t table
	t.row("ID", "BROWSER", "SINCE", "LAST USED", "OPEN PAGES")
	for _, s := range list {
		t.row(s.ID, s.Browser, s.Begun.Local().Format(time.DateTime), s.Used.Local().Format(time.DateTime), fmt.Sprint(s.Open))
	}
	return t.print(a.stdout)
}

func (a *app) signOut(ctx context.Context, id string) error {
	if id == "all" {
		id = ""
	}
	done, err := ask(ctx, a, operations.Operations.EndWebSession, operations.WebSession{ID: id})
	if err == nil {
		a.printf("%s signed out\n", fault.Count(done.Sessions, "browser"))
	}
	return err
}
