package cli

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

func (a *app) newSetupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "setup",
		Short: "Set up a mailbox, step by step",
		Long: "Asks for a mail address and its password, finds the server, logs in, and writes the\n" +
			"account into the config. Where the server takes no password, the browser opens for\n" +
			"you to sign in at the provider. Then it makes the login of a mail program, offers to run\n" +
			"popbridge in the background, and prints what to enter in the mail program. Nothing\n" +
			"is deleted on the server. Where there is no terminal: `popbridge account add`.",
		Example: "  popbridge setup",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.setup(c.Context()) },
	}
}

func (a *app) setup(ctx context.Context) error {
	if !a.interactive() {
		return fault.New(fault.Config, "there is no terminal to ask questions at", "`popbridge account add` does without")
	}
	if err := a.mayBeSetUp(); err != nil {
		return err
	}
	found, err := a.askAddress(ctx)
	if err != nil {
		return err
	}
	account, there := a.known(found.Address)
	if there {
		how, verb := "logs in there", "test"
		if account.SignsInToFetch() {
			how, verb = "signs in there", "signin"
		}
		a.printf("Account %s is set up already; `%s` %s.\n", account.Name, a.command("account "+verb+" "+account.Name), how)
	} else if account, err = a.addFound(ctx, found); err != nil {
		return err
	}
	err = a.finishSetup(ctx, account, found)
	if ctx.Err() != nil || errors.Is(err, errNoAnswer) {
		err = fault.Wrap(err, fault.Temporary, "interrupted", "account "+account.Name+" is set up; `"+a.command("setup")+"` with the same address goes on")
	}
	return err
}

// mayBeSetUp reports what would fail after all questions: a config that is broken, or of
// somebody else, or cannot be written, and a data folder that is not this user's.
func (a *app) mayBeSetUp() error {
	if name := a.serviceAccount(); name != "" {
		return fault.New(fault.Denied, "the service runs with this config as user "+name+", to whom the mail belongs",
			"as root: `"+a.command("account add --address ADDRESS")+"`; then the login of a mail program: sudo -u "+name+" "+a.command("device add NAME"))
	}
	cfg, err := a.editing().Writable()
	if err != nil {
		return err
	}
	return datadir.Check(cfg.DataDir)
}

// known is the account of an address that was set up before.
func (a *app) known(address discover.Address) (config.Account, bool) {
	cfg, err := config.Load(a.configPath)
	if err != nil {
		return config.Account{}, false // there is none yet
	}
	return cfg.Account(editing.AccountName(address.String()))
}

// finishSetup does what comes after the account: the service, the login of a mail
// program, and what to enter there. The password of that is shown even where the service
// does not start.
func (a *app) finishSetup(ctx context.Context, account config.Account, found discover.Found) error {
	if err := a.freePorts(ctx); err != nil {
		return err
	}
	running, serviceErr := a.offerService(ctx)
	if ctx.Err() != nil || errors.Is(serviceErr, errNoAnswer) {
		return serviceErr
	}
	password, err := a.firstDevice(ctx, account.User)
	if err != nil {
		return errors.Join(serviceErr, err)
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return errors.Join(serviceErr, err)
	}
	a.printf("\n%s", a.enterText(cfg, account, password, found))
	if !running {
		a.printf("\nMail comes as soon as it runs: %s\n", a.command("run"))
	}
	return serviceErr
}

// askAddress asks for the address, and for the server where none is found. One that is
// set up already is not looked for.
func (a *app) askAddress(ctx context.Context) (found discover.Found, err error) {
	for range tries {
		text, err := a.question(ctx, "Mail address: ")
		if err != nil {
			return found, err
		}
		if found.Address, err = discover.ParseAddress(text); err != nil {
			a.printf("%s\n", sentences(err))
			continue
		}
		if _, there := a.known(found.Address); there {
			return found, nil
		}
		found, err = discover.Discover(ctx, text, discover.Options{Progress: func(s discover.Step) {
			if s.Answer != "" {
				a.printf("  %s: %s\n", s.Asked, s.Answer)
			}
		}})
		if err == nil || ctx.Err() != nil {
			return found, err
		}
		a.printf("%s\n", sentences(err))
		if found.POP, err = a.askServer(ctx, found.Address); err != nil || found.POP.Known() {
			return found, err
		}
	}
	return found, fault.New(fault.Config, "there is no mail address whose server is known", "the help pages of the provider name its POP3 server; nothing was set up")
}

// showFound shows what was found, and asks whether to go on where that may be unsafe.
func (a *app) showFound(ctx context.Context, found discover.Found) error {
	a.printf("%s, user name %s\n", found.POP, found.POP.Username)
	for _, line := range found.Advice.Lines() {
		a.printf("  %s\n", line)
	}
	for _, text := range found.Confirm() {
		yes, err := a.yes(ctx, text+"\nGo on? [y/N] ", false)
		if err == nil && !yes {
			err = fault.New(fault.Config, "nothing was set up", "`popbridge account add` takes the name of another server")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addFound asks for the password, logs in, and writes the account.
func (a *app) addFound(ctx context.Context, found discover.Found) (account config.Account, err error) {
	if err := a.showFound(ctx, found); err != nil {
		return account, err
	}
	if signs, err := a.signsIn(ctx, found.POP); signs || err != nil {
		if err != nil {
			return account, err
		}
		return a.addBySignIn(ctx, found)
	}
	settings := func(username string) []config.Setting {
		m := editing.Mailbox{Name: editing.AccountName(found.Address.String()), Address: found.Address.String(), POP: found.POP, SMTP: found.SMTP, Advice: found.Advice}
		if m.POP.Username = username; found.SMTP.Username == found.POP.Username { // the same is right there
			m.SMTP.Username = username
		}
		return m.New()
	}
	if account, err = a.editing().Planned(settings(found.POP.Username)); err != nil {
		return account, err
	}
	password, err := a.tryPasswords(ctx, found, &account)
	if err != nil {
		return account, err
	}
	where, err := a.editing().Add(ctx, account, password, settings(account.Username))
	if err != nil {
		return account, err
	}
	a.printf("  written to %s; the password is %s\n", a.configPath, where)
	return account, a.afterEdit(ctx)
}

// tryPasswords asks for a password until the server takes it, with the one user name or
// the other. An empty one lets a person change the user name.
func (a *app) tryPasswords(ctx context.Context, found discover.Found, account *config.Account) (secret.Secret, error) {
	for try := 1; ; try++ {
		password, err := a.askPassword(ctx, *account)
		switch {
		case err == nil:
		case fault.Is(err, fault.Config) && try < tries:
			a.printf("%s\n", err)
			if !errors.Is(err, errEmptyPassword) {
				continue
			}
			if err := a.askUsername(ctx, account); err != nil {
				return "", err
			}
			continue
		default:
			return "", err
		}
		probe, username := operations.TryEither(ctx, *account, found.OtherUsername, password)
		account.Username = username
		if probe.Error == "" {
			a.printf("  logged in: %s, %s; nothing is deleted there\n", fault.Count(probe.Messages, "message"), size(probe.Bytes))
			return password, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		hint := cmp.Or(found.Advice.Refused(), probe.Hint)
		if try == tries {
			return "", fault.New(fault.Temporary, probe.Error, strings.TrimPrefix(hint+"; nothing was set up", "; "))
		}
		a.printf("%s\n  %s\n  (Enter alone: change the user name)\n", probe.Error, hint)
	}
}

// firstDevice makes the login of a mail program, unless the user has one. Its password
// is returned, "" where none was made.
func (a *app) firstDevice(ctx context.Context, user string) (password string, err error) {
	err = a.with(ctx, func(ops operations.Operations) (err error) {
		_, password, err = operations.AddFirstDevice(ctx, ops, user)
		return err
	})
	return password, err
}

// offerService reports whether an agent runs then.
func (a *app) offerService(ctx context.Context) (bool, error) {
	o, err := a.serviceOptions(false)
	if err != nil {
		return false, err
	}
	if err := a.with(ctx, func(ops operations.Operations) error {
		s, err := ops.Status(ctx)
		if err == nil && s.Running {
			err = errRunning
		}
		return err
	}); err != nil {
		return errors.Is(err, errRunning), ignore(err, errRunning)
	}
	if err := installer.Check(false); err != nil {
		a.printf("%s\n", sentences(err))
		return false, nil
	}
	yes, err := a.yes(ctx, "Run popbridge in the background from now on? [Y/n] ", true)
	if err != nil || !yes {
		return false, err
	}
	s, err := installer.New(o)
	if err != nil {
		return false, err
	}
	if err := a.install(ctx, o); err != nil {
		return false, err
	}
	return true, a.start(ctx, s, false)
}

var errRunning = errors.New("an agent is running")

func ignore(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}

// enterText is what to enter in a mail program, with the password that was made. The
// provider of an account that is signed in takes no password from it.
func (a *app) enterText(cfg *config.Config, account config.Account, password string, found discover.Found) string {
	host, port := operations.ProgramsAddress(cfg.IMAP.Listen)
	m := clientfiles.Mailbox{User: account.User, Host: host, Port: port, TLS: operations.IMAPSecurity(cfg.IMAP),
		Identities: []clientfiles.Identity{{Address: found.Address.String(), SMTP: found.SMTP}}}
	if own, ok := operations.HereSubmission(cfg).Sender(account); ok {
		m.Identities[0].SMTP, m.Identities[0].Here = own, true
	} else {
		m.Identities[0].SMTP = operations.AtProvider(account, found.SMTP)
	}
	if password == "" {
		password = "that of the login you have; `" + a.command("device add NAME") + "` makes another one"
	} else {
		password += "   (shown this once only)"
	}
	return m.Values(password) + a.missingToSend(cfg, account) + a.otherWays()
}
