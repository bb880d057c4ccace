package cli

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

type newAccount struct {
	name, address, host, tls, username, user, folder, passwordFile string
	port                                                           int
	passwordStdin, oauth                                           bool
	smtp                                                           discover.Server // that was found with the server
}

func (a *app) newAccountAddCommand() *cobra.Command {
	var n newAccount
	c := &cobra.Command{
		Use:   "add (--address ADDRESS | --host HOST --username NAME) [KEY=VALUE...]",
		Short: "Test an account at its server, and write it into the config",
		Long: "Finds the server of a mail address, as `popbridge setup` does, unless it is named;\n" +
			"one that a person should look at first has to be named. Logs in, and writes the\n" +
			"account into the config only when that went through; a running agent takes it up.\n" +
			"The password is asked for, or read from standard input, and stored in the keychain,\n" +
			"or where there is none in a file beside the config. KEY=VALUE are further keys of\n" +
			"the account, as the config has them. Mail stays on the server unless\n" +
			"keep_on_server says otherwise.",
		Example: "  popbridge account add --address ann@example.com\n" +
			"  popbridge account add --host pop.example.com --username ann@example.com\n" +
			"  pass show home | popbridge account add --name home --host pop.example.com --username ann --password-stdin poll_every=10m",
		RunE: func(c *cobra.Command, args []string) error { return a.accountAdd(c.Context(), n, args) },
	}
	f := c.Flags()
	f.StringVar(&n.address, "address", "", "the mail `ADDRESS` whose server is to be found")
	f.StringVar(&n.name, "name", "", "the `NAME` of the account in logs and commands (default: its address or user name)")
	f.StringVar(&n.host, "host", "", "the POP3 server, a `HOST` name or an IP address")
	f.IntVar(&n.port, "port", 0, "its `PORT` (default: 995 with implicit TLS, else 110)")
	f.StringVar(&n.tls, "tls", "", "implicit, starttls or none: the `MODE` of TLS (default: implicit)")
	f.StringVar(&n.username, "username", "", "the `NAME` to log in with")
	f.StringVar(&n.user, "user", "", "the `USER` that mail programs log in as to see this mail (default: me)")
	f.StringVar(&n.folder, "folder", "", "the `FOLDER` that its mail goes to (default: INBOX)")
	f.BoolVar(&n.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.BoolVar(&n.oauth, "oauth", false, "sign in at the provider, see account signin; the config has a table [oauth.NAME] for it")
	f.StringVar(&n.passwordFile, "password-file", "", "the `FILE` that has the password, and stays where it is")
	c.MarkFlagsMutuallyExclusive("oauth", "password-stdin")
	c.MarkFlagsMutuallyExclusive("oauth", "password-file")
	return c
}

// settings are what is written of the account: the flags, and the keys that are given as
// KEY=VALUE, where those of the server and the user name may be as well.
func (n *newAccount) settings(args []string) (list []config.Setting, err error) {
	for _, arg := range args {
		s, err := config.ParseSetting(arg)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	given := func(key string) bool {
		return slices.ContainsFunc(list, func(s config.Setting) bool { return s.Key == key })
	}
	if n.host == "" && !given("host") || n.username == "" && !given("username") {
		return nil, fault.New(fault.Config, "the server or the user name is missing", "--address ADDRESS finds them, or --host HOST --username NAME: the provider's help pages name both")
	}
	var first []config.Setting
	for _, s := range []struct{ key, value string }{
		{"name", n.name}, {"host", n.host}, {"tls", n.tls}, {"username", n.username},
		{"password_file", n.passwordFile}, {"user", n.user}, {"folder", n.folder},
	} {
		if s.value != "" {
			first = append(first, config.Text(s.key, s.value))
		}
	}
	if n.oauth && !given("auth") {
		first = append(first, config.Text("auth", "oauth2"))
	}
	if n.port != 0 {
		first = append(first, config.Setting{Key: "port", Value: strconv.Itoa(n.port)})
	}
	if n.name == "" && !given("name") {
		first = slices.Insert(first, 0, config.Text("name", editing.AccountName(cmp.Or(n.address, n.username, "mail"))))
	}
	return append(first, list...), nil
}

// sending are the settings without which what the account sends could not leave, but for
// those that are given.
func (n *newAccount) sending(next config.Account, given []config.Setting) (list []config.Setting) {
	m := editing.Mailbox{Address: n.address, POP: discover.Server{Host: next.Host, Username: next.Username}, SMTP: n.smtp, SignsIn: next.OAuth != nil}
	for _, s := range m.Sending() {
		if !slices.ContainsFunc(given, func(o config.Setting) bool {
			return o.Key == s.Key || o.Key == "send.host" && strings.HasPrefix(s.Key, "send.")
		}) {
			list = append(list, s)
		}
	}
	return list
}

// complete takes from the address what is not said: the name, and the user name, which is
// the address with most providers; without a host also the server.
func (n *newAccount) complete(ctx context.Context, args []string) error {
	if n.passwordFile != "" {
		path, err := filepath.Abs(n.passwordFile) // in the config it would start at the folder of that
		if err != nil {
			return err
		}
		n.passwordFile = path
	}
	has := func(key string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, key+"=") })
	}
	if n.address == "" {
		return nil
	}
	address, err := discover.ParseAddress(n.address)
	switch {
	case err != nil:
		return err
	case n.host != "" || has("host"):
		n.address = address.String()
		if n.username == "" && !has("username") {
			n.username = n.address
		}
		return nil
	case n.port != 0 || n.tls != "" || has("port") || has("tls"):
		return fault.New(fault.Config, "port and tls are those of a server, and no host is given", "add --host HOST, or leave both out: they are found with the server")
	}
	return n.find(ctx, !has("username"), has("auth"))
}

func (a *app) accountAdd(ctx context.Context, n newAccount, args []string) error {
	if _, err := a.editing().Writable(); err != nil {
		return err
	}
	if err := n.complete(ctx, args); err != nil {
		return err
	}
	settings, err := n.settings(args)
	if err != nil {
		return err
	}
	next, err := a.editing().Planned(settings)
	if err != nil {
		return err
	}
	settings = append(settings, n.sending(next, settings)...)
	if next, err = a.editing().Planned(settings); err != nil {
		return err
	}
	switch {
	case n.oauth && !next.SignsInToFetch():
		return fault.New(fault.Config, "--oauth signs the account in, and its keys say that it has a password or the token of another program", "leave out --oauth, or auth, password_file and password_command")
	case n.passwordStdin && next.SignsInToFetch():
		return fault.New(fault.Config, "an account that is signed in has no password", `leave out --password-stdin, or auth = "oauth2"`)
	case next.SignsInToFetch():
		return a.accountAddSignIn(ctx, next, settings)
	}
	password, err := a.givenPassword(ctx, n, next)
	if err != nil {
		return err
	}
	probe := operations.Try(ctx, next, password)
	if probe.Error != "" {
		hint := probe.Hint
		if advice, ok := discover.AdviceFor(next.Username, next.Host); ok {
			hint = cmp.Or(advice.Refused(), hint)
		}
		return notAdded(next, probe.Error, hint)
	}
	a.printProbe(probe)
	where, err := a.editing().Add(ctx, next, password, settings)
	if err != nil {
		return err
	}
	a.printf("account %s was added; its password is %s. Its mail goes to folder %s of user %s.\n", next.Name, where, next.Folder, next.User)
	if err := a.saySending(next); err != nil {
		return err
	}
	return a.afterEdit(ctx)
}

// notAdded is what the server of an account said, or that it cannot be reached. No cause of
// that is a mistake in the usage for the exit code.
func notAdded(c config.Account, why, hint string) error {
	return fault.New(fault.Temporary, c.Name+": "+why, strings.TrimPrefix(hint+"; the account was not added", "; "))
}

// saySending says by which server mail programs send the mail of an account.
func (a *app) saySending(c config.Account) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	if own, ok := operations.HereSubmission(cfg).Sender(c); ok {
		a.printf("Mail programs send from %s through popbridge, too: server %s, port %d, %s, with the login by which they read.\n", strings.Join(c.Addresses, ", "), own.Host, own.Port, clientfiles.SecurityWords(own.TLS))
	}
	a.printf("%s", a.missingToSend(cfg, c))
	if c.SignsInToSend() {
		a.printf("%s\n", a.toSignIn("To send it has to be signed in", c))
	}
	return nil
}

// missingToSend is a line that says what an account lacks to send through popbridge, and
// how it is given; "" for nothing.
func (a *app) missingToSend(cfg *config.Config, c config.Account) string {
	what, key := "", ""
	switch _, known := sending.WayOf(c); {
	case len(cfg.SMTP.Listen) == 0: // it is switched off
		return ""
	case !known:
		what, key = "outgoing server", "send.host=HOST"
	case len(c.Addresses) == 0:
		what, key = "mail address", "address=ADDRESS"
	default:
		return ""
	}
	return fmt.Sprintf("The %s of account %s is not known. To send through popbridge, name it: %s\n", what, c.Name, a.command("account set "+fault.ShellQuote(c.Name)+" "+key))
}

// accountAddSignIn adds an account without a password, and signs it in. Its server is only
// reached before: there is no token yet.
func (a *app) accountAddSignIn(ctx context.Context, next config.Account, settings []config.Setting) error {
	if err := accounts.Reach(ctx, next); err != nil {
		return notAdded(next, err.Error(), fault.Hint(err))
	}
	if _, err := a.editing().Add(ctx, next, "", settings); err != nil {
		return err
	}
	a.printf("account %s was added. Its mail goes to folder %s of user %s.\n", next.Name, next.Folder, next.User)
	if err := a.afterEdit(ctx); err != nil {
		return err
	}
	return a.signIn(ctx, next.Name, false, false)
}

// find looks for the server of the address, and the user name there where that is wanted.
// One that takes no password is refused unless it is said how the account signs in.
// What setup would ask a person about is refused.
func (n *newAccount) find(ctx context.Context, username, signsIn bool) error {
	found, err := discover.Discover(ctx, n.address, discover.Options{})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Temporary) {
		return fault.New(fault.KindOf(err), err.Error(), strings.TrimPrefix(fault.Hint(err)+"; --host HOST names the server, and --port, --tls and --username what is not usual there", "; "))
	}
	if err != nil {
		return err
	}
	pop := found.POP
	if doubts := found.Confirm(); len(doubts) > 0 {
		return fault.New(fault.Config, "the server was found, but "+strings.Join(doubts, "; "),
			fmt.Sprintf("if that is right: --host %s --port %d --tls %s --username %s", pop.Host, pop.Port, pop.TLS, fault.ShellQuote(pop.Username)))
	}
	if pop.OAuth2Only() && !n.oauth && !signsIn {
		return fault.New(fault.Config, "this server takes no password, only OAuth2", "--oauth signs in with the browser, and setup leads through it: "+oauthGuide)
	}
	n.host, n.port, n.tls, n.smtp = pop.Host, pop.Port, string(pop.TLS), found.SMTP
	n.address = found.Address.String()
	if username {
		n.username = cmp.Or(n.username, pop.Username)
	}
	return nil
}

// editing is the config that verbs change.
func (a *app) editing() editing.File {
	return editing.File{Path: a.configPath, Owner: a.serviceAccount(), HandOver: func(passwordFile string, isNew bool) error {
		return a.handOver(a.configPath, passwordFile, isNew)
	}}
}

// givenPassword is the password of an account to be added.
func (a *app) givenPassword(ctx context.Context, n newAccount, next config.Account) (secret.Secret, error) {
	switch {
	case n.passwordStdin && !next.Password.InKeychain():
		return "", fault.New(fault.Config, "the password is given twice", "leave out --password-stdin, or password_file and password_command")
	case !next.Password.InKeychain():
		return secret.Source{File: next.Password.File, Command: next.Password.Command}.Read(ctx)
	case !n.passwordStdin && !a.interactive():
		return "", fault.New(fault.Config, "there is no password", "give it with --password-stdin or --password-file FILE")
	}
	return a.askPassword(ctx, next)
}

// afterEdit lets a running agent take up the config, and says what else should be known
// of it.
func (a *app) afterEdit(ctx context.Context) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	if agent, err := control.Connect(ctx, cfg.DataDir); err == nil {
		_ = agent.Reload(ctx) // it watches the file as well
		_ = agent.Close()
	}
	for _, w := range cfg.Warnings() {
		a.printf("warning: %s\n", w.In(a.configPath))
	}
	return a.checkForAccount(ctx)
}
