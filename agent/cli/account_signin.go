package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

func (a *app) newAccountSignInCommand() *cobra.Command {
	var device, noBrowser bool
	c := &cobra.Command{
		Use:   "signin NAME",
		Short: "Sign an account in at its provider, which takes no password",
		Long: "Opens the provider's page in the browser of this user, where you sign in and allow\n" +
			"popbridge to fetch and send mail. The address is printed, too: where the browser is on\n" +
			"another machine, open it there, and paste the address that it ends at, which shows\n" +
			"an error page then; --no-browser starts none here. --device is another way, without a\n" +
			"browser here: it prints a code to enter at an address, from any machine. Then the\n" +
			"servers for fetching and for sending are tried.\n" +
			"A running agent is asked to do it and goes on with the account at once.",
		Example: "  popbridge account signin work\n  popbridge account signin work --device",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := a.loadConfig(); err != nil {
				return err
			}
			return a.signIn(c.Context(), args[0], device, noBrowser)
		},
	}
	c.Flags().BoolVar(&device, "device", false, "sign in with a code, from a browser anywhere")
	c.Flags().BoolVar(&noBrowser, "no-browser", false, "print the address, and start no browser")
	c.MarkFlagsMutuallyExclusive("device", "no-browser") // a code needs no browser here
	return c
}

// signInEvery is how often it is looked whether a person has signed in.
const signInEvery = 500 * time.Millisecond

// signIn signs an account in, and waits for the end of that.
func (a *app) signIn(ctx context.Context, account string, device, noBrowser bool) error {
	return a.with(ctx, func(ops operations.Operations) error {
		if err := ops.Reload(ctx); err != nil {
			return err
		}
		s, err := ops.SignInBegin(ctx, operations.BeginSignIn{Account: account, Device: device})
		if err != nil {
			return err
		}
		a.showSignIn(ctx, s, noBrowser)
		s, err = a.awaitSignIn(ctx, ops, s)
		if err != nil {
			if ctx.Err() != nil {
				_, _ = ops.SignInCancel(context.WithoutCancel(ctx), operations.AccountName{Account: account}) // it would end by itself
			}
			return err
		}
		return a.signedIn(s)
	})
}

// showSignIn says where a person signs in, and opens that in the browser.
func (a *app) showSignIn(ctx context.Context, s operations.SignIn, noBrowser bool) {
	if s.UserCode != "" {
		a.printf("Open this address in a browser, on any machine, and enter the code %s there:\n\n  %s\n\n", s.UserCode, s.URL)
		a.printf("Waiting until %s ...\n", s.Expires.Local().Format("15:04"))
		return
	}
	whyNot := errors.New("no browser was started")
	if !noBrowser {
		whyNot = mayStartBrowser()
	}
	if whyNot == nil {
		whyNot = startBrowser(ctx, s.URL)
	}
	if whyNot == nil {
		a.printf("The browser opens for you to sign in. If it does not, open this address:\n\n  %s\n\n", s.URL)
	} else {
		a.printf("%s; sign in at this address:\n\n  %s\n\n", whyNot, s.URL)
	}
	if s.Paste { // it ends at no listener of popbridge, wherever it is
		a.printf("Then paste the whole address here that it ends at, or the code that its page shows.\n")
		return
	}
	a.printf("If the browser is on another machine, paste the whole address here that it ends at, also where no page is shown there.\n")
}

// awaitSignIn waits for the end of a sign-in, and takes what a person pastes meanwhile.
func (a *app) awaitSignIn(ctx context.Context, ops operations.Operations, s operations.SignIn) (operations.SignIn, error) {
	waiting, end := context.WithCancel(ctx)
	defer end()
	var pasted chan string
	taken := false // what was pasted last
	if s.UserCode == "" {
		pasted = a.pasted(waiting)
	}
	for {
		next, err := ops.SignInState(ctx, s.Account)
		if err != nil {
			return s, unfinishedSignIn(err, a.command("account signin "+s.Account))
		}
		if next.State == signin.Done || next.State == signin.Failed {
			return next, nil
		}
		select {
		case text, ok := <-pasted:
			if !ok {
				if pasted = nil; !s.Paste || taken {
					continue // the browser may still come, or what was pasted is being tried
				}
				if _, err := ops.SignInCancel(ctx, operations.AccountName{Account: s.Account}); !fault.Is(err, fault.Conflict) { // else it has come to its end
					return s, fault.New(fault.Config, "this sign-in ends with an address that has to be pasted, and there is no more input", "sign in at a terminal: "+a.command("account signin "+s.Account))
				}
				continue
			}
			_, err := ops.SignInPaste(ctx, operations.PasteSignIn{Account: s.Account, Text: text})
			if taken = err == nil; !taken {
				a.printf("%s\n", sentences(err))
			}
		default:
			if !supervise.Sleep(ctx, signInEvery) {
				return s, ctx.Err()
			}
		}
	}
}

// pasted are the lines that a person enters.
func (a *app) pasted(ctx context.Context) chan string {
	lines := make(chan string)
	go func() { // stays behind until the process ends
		defer close(lines)
		for {
			line, err := a.readLine(ctx)
			if err != nil {
				return
			}
			if line == "" {
				continue
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// unfinishedSignIn explains that the agent does not know of a sign-in any more, or is gone.
func unfinishedSignIn(err error, again string) error {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Temporary) {
		return fault.Wrap(err, fault.Temporary, "the agent was stopped or restarted while it waited for you, so nothing was signed in", "sign in once more: "+again)
	}
	return err
}

// signedIn says what came of a sign-in: a failure is one of both servers, too.
func (a *app) signedIn(s operations.SignIn) error {
	if s.State == signin.Failed {
		return fault.New(fault.Temporary, s.Account+": "+s.Error, s.Hint)
	}
	a.printf("account %s is signed in\n", s.Account)
	var failed failures
	for _, tried := range []struct {
		what string
		signin.Try
	}{{"fetching", s.POP}, {"sending", s.SMTP}} {
		switch tried.State {
		case signin.Failed:
			failed.errs = append(failed.errs, fault.New(fault.Temporary, s.Account+", "+tried.what+": "+tried.Text, tried.Hint))
		default:
			failed.part = failed.part || tried.State == signin.OK
			a.printf("  %-10s %s\n", tried.what, tried.Text)
		}
	}
	if len(failed.errs) > 0 {
		return &failed
	}
	return nil
}
