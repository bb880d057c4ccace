package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

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
			"account into the config. Then it makes the login of a mail program, offers to run\n" +
			"popbridge in the background, and prints what to enter in the mail program. Nothing\n" +
			"is deleted on the server. Where there is no terminal: `popbridge account add`.",
		Example: "  popbridge setup",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.setup(c.Context()) },
	}
}

// tries is how often one question is asked.
const tries = 3

func (a *app) setup(ctx context.Context) error {
	if !a.interactive() {
		return fault.New(fault.Config, "there is no terminal to ask questions at", "`popbridge account add` does without")
	}
	found, err := a.askAddress(ctx)
	if err != nil {
		return err
	}
	if err := a.showFound(ctx, found); err != nil {
		return err
	}
	account, err := a.addFound(ctx, found)
	if err != nil {
		return err
	}
	password, err := a.firstDevice(ctx, account.User)
	if err != nil {
		return err
	}
	running, err := a.offerService(ctx)
	if err != nil {
		return err
	}
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	a.printf("\n%s", a.enterText(cfg.IMAP, account.User, password, found))
	if !running {
		a.printf("\nMail comes as soon as it runs: %s\n", a.command("run"))
	}
	return nil
}

// askAddress asks for the address, and for the server where none is found.
func (a *app) askAddress(ctx context.Context) (found discover.Found, err error) {
	for range tries {
		text, err := a.question(ctx, "Mail address: ")
		if err != nil {
			return found, err
		}
		found, err = discover.Discover(ctx, text, discover.Options{Progress: func(s discover.Step) {
			if s.Answer != "" {
				a.printf("  %s: %s\n", s.Asked, s.Answer)
			}
		}})
		if err == nil || ctx.Err() != nil {
			return found, err
		}
		a.printf("%s\n", strings.Join(sentences(err), "; "))
		if found.Address.Domain == "" {
			continue // it is no address
		}
		host, err := a.question(ctx, "POP3 server, as your provider's help pages name it: ")
		if err != nil {
			return found, err
		}
		if host != "" {
			found.POP = discover.Server{Host: host, TLS: discover.Implicit, Port: 995, Username: found.Address.String()}
			return found, nil
		}
	}
	return found, fault.New(fault.Config, "there is no mail address whose server is known", "`popbridge account add` takes the name of the server")
}

// showFound shows what was found, and asks whether to go on where that may be unsafe.
func (a *app) showFound(ctx context.Context, found discover.Found) error {
	a.printf("%s, user name %s\n", found.POP, found.POP.Username)
	for _, line := range found.Advice.Lines() {
		a.printf("  %s\n", line)
	}
	if found.POP.OAuth2Only() {
		return fault.New(fault.Config, "this server takes no password, only OAuth2", "popbridge cannot sign in there yet")
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
	name := accountName(found.Address.String())
	if cfg, err := config.Load(a.configPath); err == nil {
		if _, there := cfg.Account(name); there {
			return account, fault.New(fault.Conflict, "account "+name+" is set up already",
				"`"+a.command("status")+"` says how it is, `"+a.command("device add NAME")+"` makes the login of a mail program")
		}
	}
	settings := []config.Setting{config.Text("name", name), config.Text("host", found.POP.Host),
		{Key: "port", Value: strconv.Itoa(found.POP.Port)}, config.Text("tls", string(found.POP.TLS)), config.Text("username", found.POP.Username)}
	if found.Advice.MinInterval > 0 {
		settings = append(settings, config.Text("poll_every", every(found.Advice.MinInterval)))
	}
	if _, err := a.planned(settings, &account); err != nil {
		return account, err
	}
	password, err := a.tryPasswords(ctx, found, &account)
	if err != nil {
		return account, err
	}
	settings[4] = config.Text("username", account.Username)
	cfg, where, err := a.writeAccount(ctx, account, password, settings)
	if err != nil {
		return account, err
	}
	a.printf("  written to %s; the password is %s\n", cfg.Path, where)
	a.afterEdit(ctx, cfg)
	return account, nil
}

// accountName makes the name of an account of an address: what a name may not have
// becomes a hyphen.
func accountName(address string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@+", r) {
			return r
		}
		return '-'
	}, address)
	return strings.Trim(name[:min(len(name), 64)], ".-")
}

// tryPasswords asks for a password until the server takes it, with the one user name or
// the other.
func (a *app) tryPasswords(ctx context.Context, found discover.Found, account *config.Account) (secret.Secret, error) {
	for try := 1; ; try++ {
		typed, err := a.askPassword(ctx, *account)
		if fault.Is(err, fault.Config) && try < tries {
			a.printf("%v\n", err)
			continue
		}
		if err != nil {
			return "", err
		}
		password := secret.Secret(typed)
		probe := operations.Try(ctx, *account, password)
		if probe.Error != "" && found.OtherUsername != "" {
			other := *account
			other.Username = found.OtherUsername
			if second := operations.Try(ctx, other, password); second.Error == "" {
				probe, *account = second, other
			}
		}
		if probe.Error == "" {
			a.printf("  logged in: %s, %s; nothing is deleted there\n", fault.Count(probe.Messages, "message"), size(probe.Bytes))
			return password, nil
		}
		hint := cmp.Or(found.Advice.Refused(), probe.Hint)
		if try == tries {
			return "", fault.New(fault.Temporary, probe.Error, hint)
		}
		a.printf("%s\n  %s\n", probe.Error, hint)
	}
}

// firstDevice makes the login of a mail program, unless the user has one. Its password
// is returned, "" where none was made.
func (a *app) firstDevice(ctx context.Context, user string) (password string, err error) {
	err = a.with(ctx, func(ops operations.Operations) error {
		devices, err := ops.Devices(ctx)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if d.User == user {
				return nil
			}
		}
		password = newPassword()
		_, err = ops.AddDevice(ctx, operations.AddDevice{User: user, Name: "first", Password: password, Generated: true})
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
		a.printf("%s\n", strings.Join(sentences(err), "; "))
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

// enterText is what to enter in a mail program, with the password that was made.
func (a *app) enterText(imap config.IMAP, user, password string, found discover.Found) string {
	host, port := programsAddress(imap.Listen)
	m := clientfiles.Mailbox{User: user, Host: host, Port: port, TLS: imapSecurity(imap),
		Identities: []clientfiles.Identity{{Address: found.Address.String(), SMTP: found.SMTP}}}
	if password == "" {
		password = "that of the login you have; `" + a.command("device add NAME") + "` makes another one"
	} else {
		password += "   (shown this once only)"
	}
	return m.Values(password) + a.otherWays()
}

func (a *app) yes(ctx context.Context, text string, usual bool) (bool, error) {
	answer, err := a.question(ctx, text)
	switch strings.ToLower(answer) {
	case "":
		return usual, err
	case "y", "yes", "j", "ja", "o", "oui", "s", "si", "sí":
		return true, err
	}
	return false, err
}

// question asks for a line at the terminal. It reads no octet more, which the next
// question may want.
func (a *app) question(ctx context.Context, text string) (string, error) {
	_, _ = io.WriteString(a.stderr, text)
	var line []byte
	done := make(chan error, 1)
	go func() { // stays behind until the process ends
		var octet [1]byte
		for {
			n, err := a.stdin.Read(octet[:])
			if n == 1 && octet[0] == '\n' || err != nil {
				done <- err
				return
			}
			line = append(line, octet[:n]...)
		}
	}()
	select {
	case err := <-done:
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
			err = fault.New(fault.Config, "there was no answer", "nothing was set up; run it again")
		}
		return strings.TrimSpace(string(line)), err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// sentences are an error and what to do about it.
func sentences(err error) []string {
	list := []string{err.Error()}
	if hint := fault.Hint(err); hint != "" {
		list = append(list, hint)
	}
	return list
}
