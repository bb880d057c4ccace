package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

func (a *app) newOpenCommand() *cobra.Command {
	var print, sessions bool
	var signOut string
	c := &cobra.Command{
		Use:   "open",
		Short: "Open the web page of the running agent in the browser, signed in",
		Long: "Opens the web page in the browser of this user, signed in. The address works once,\n" +
			"within a minute; the browser then stays signed in for up to 30 days. Where there is\n" +
			"no browser to be started, the address is printed. Where no agent runs, the background\n" +
			"service is started, or without one this command is the agent until Ctrl-C.\n" +
			"--sessions lists the browsers that are signed in, --sign-out ends one, or all.",
		Example: "  popbridge open\n  popbridge open --print\n  popbridge open --sessions\n  popbridge open --sign-out all",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case c.Flags().Changed("sign-out"):
				if signOut == "" {
					return fault.New(fault.Config, "it is not said which browser is to be signed out", "`"+a.command("open --sessions")+"` lists them; all signs out each")
				}
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

// open opens the page of the agent that runs, or of one that it starts: the service where
// one is installed, else one that ends with this command.
func (a *app) open(ctx context.Context, print bool) error {
	if err := a.firstConfig(); err != nil {
		return err
	}
	err := a.with(ctx, func(ops operations.Operations) error {
		s, err := ops.Status(ctx)
		if err == nil && s.Running {
			err = errRunning
		}
		return err
	})
	switch {
	case errors.Is(err, errRunning):
		return a.openRunning(ctx, print)
	case err != nil:
		return err
	}
	s := a.installedService()
	if s == nil {
		return a.openHere(ctx, print)
	}
	if err := a.start(ctx, s, false); err != nil {
		return err
	}
	return a.openRunning(ctx, print)
}

// installedService is the background service of this config, nil where there is none.
func (a *app) installedService() *installer.Service {
	system, err := installer.Find()
	if err != nil {
		return nil
	}
	o, err := a.serviceOptions(system)
	if err != nil {
		return nil
	}
	s, err := installer.New(o)
	if err != nil || s.Runs().Config != o.ConfigPath {
		return nil
	}
	if status, err := s.Status(); err != nil || status == installer.NotInstalled {
		return nil
	}
	return s
}

// firstConfig writes an empty config where there is none yet: accounts come by the page.
func (a *app) firstConfig() error {
	if _, err := os.Stat(a.configPath); !errors.Is(err, fs.ErrNotExist) || a.serviceAccount() != "" {
		return nil
	}
	_, err := config.Edit(a.configPath, func(text []byte) ([]byte, error) {
		return append(text, "version = 1\n"...), nil
	})
	return err
}

// openHere runs an agent as long as this command, and opens its page.
func (a *app) openHere(ctx context.Context, print bool) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	if cfg.Web.Listen == "" {
		return fault.New(fault.Config, "the web page is switched off in the config", "delete listen = \"off\" below [web]")
	}
	if !a.json {
		a.printf("No agent is running, so this command is one until Ctrl-C. `%s` makes it a background service.\n", a.command("install"))
	}
	w, end := a.runLog()
	var opened sync.WaitGroup
	err = serve(ctx, cfg, w, func() {
		opened.Go(func() {
			if err := a.openRunning(ctx, print); err != nil {
				logError(w, err, "the web page was not opened")
			}
		})
	})
	opened.Wait()
	return stopped(ctx, end(err))
}

// openWithin is how long an agent that has just begun may take until its page is there.
const openWithin = 5 * time.Second

func (a *app) openRunning(ctx context.Context, print bool) error {
	whyNot := mayStartBrowser()
	start := !print && !a.json && whyNot == nil
	uid := browserUser()
	var address operations.WebAddress
	var err error
	for until := time.Now().Add(openWithin); ; {
		address, err = ask(ctx, a, operations.Operations.OpenWeb, operations.OpenWeb{UID: uid})
		if !fault.Is(err, fault.Temporary) || time.Now().After(until) || !supervise.Sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(address)
	}
	if start {
		if whyNot = startBrowser(ctx, address.URL); whyNot == nil {
			a.printf("the web page was opened in the browser\n")
			return nil
		}
	}
	if !print {
		a.printf("%s; open this address within a minute:\n", whyNot)
	}
	a.printf("%s\n", address.URL)
	if othersRefused(uid) {
		_, _ = fmt.Fprintln(a.stderr, "hint: only a browser that runs as root gets in by this address; for yours run popbridge as you, or as root by sudo, doas or pkexec and not by su")
	}
	if u, err := url.Parse(address.URL); err == nil && !print && os.Getenv("SSH_CONNECTION") != "" {
		a.printf("From the computer in front of you, first: ssh -L %s:%s HOST\n", u.Port(), u.Host)
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
