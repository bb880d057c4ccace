package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
)

type newAccount struct {
	name, address, host, tls, username, user, folder, passwordFile string
	port                                                           int
	passwordStdin                                                  bool
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
	f.StringVar(&n.user, "user", "", "the `USER` that mail clients log in as to see this mail (default: me)")
	f.StringVar(&n.folder, "folder", "", "the `FOLDER` that its mail goes to (default: INBOX)")
	f.BoolVar(&n.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&n.passwordFile, "password-file", "", "the `FILE` that has the password, and stays where it is")
	return c
}

// settings are what is written of the account.
func (n newAccount) settings(args []string) ([]config.Setting, error) {
	if n.host == "" || n.username == "" {
		return nil, fault.New(fault.Config, "the server or the user name is missing", "--address ADDRESS finds them, or --host HOST --username NAME: the provider's help pages name both")
	}
	var list []config.Setting
	for _, s := range []struct{ key, value string }{
		{"name", cmp.Or(n.name, accountName(n.username))}, {"host", n.host}, {"tls", n.tls}, {"username", n.username},
		{"password_file", n.passwordFile}, {"user", n.user}, {"folder", n.folder},
	} {
		if s.value != "" {
			list = append(list, config.Text(s.key, s.value))
		}
	}
	if n.port != 0 {
		list = append(list, config.Setting{Key: "port", Value: strconv.Itoa(n.port)})
	}
	for _, arg := range args {
		s, err := config.ParseSetting(arg)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(o config.Setting) bool { return o.Key == s.Key }) {
			return nil, fault.New(fault.Config, s.Key+" is given twice", "leave out one of the two")
		}
		list = append(list, s)
	}
	return list, nil
}

func (a *app) accountAdd(ctx context.Context, n newAccount, args []string) error {
	if n.passwordFile != "" {
		path, err := filepath.Abs(n.passwordFile) // in the config it would start at the folder of that
		if err != nil {
			return err
		}
		n.passwordFile = path
	}
	if n.address != "" && n.host == "" {
		if err := n.find(ctx); err != nil {
			return err
		}
	}
	settings, err := n.settings(args)
	if err != nil {
		return err
	}
	var next config.Account
	if _, err := a.planned(settings, &next); err != nil {
		return err
	}
	password, err := a.newPassword(ctx, n, next)
	if err != nil {
		return err
	}
	probe := operations.Try(ctx, next, password)
	if probe.Error != "" {
		hint := probe.Hint
		if advice, ok := discover.AdviceFor(next.Username, next.Host); ok {
			hint = cmp.Or(advice.Refused(), hint)
		}
		return fault.New(fault.Temporary, next.Name+": "+probe.Error, strings.TrimPrefix(hint+"; the account was not added", "; "))
	}
	if !a.json {
		a.printProbe(probe)
	}
	cfg, where, err := a.writeAccount(ctx, next, password, settings)
	if err != nil {
		return err
	}
	a.printf("account %s was added; its password is %s. Its mail goes to folder %s of user %s.\n", next.Name, where, next.Folder, next.User)
	a.afterEdit(ctx, cfg)
	return nil
}

// find looks for the server of the address. What setup would ask a person about is
// refused.
func (n *newAccount) find(ctx context.Context) error {
	found, err := discover.Discover(ctx, n.address, discover.Options{})
	if err != nil {
		return err
	}
	pop := found.POP
	if doubts := found.Confirm(); len(doubts) > 0 {
		return fault.New(fault.Config, "the server was found, but "+strings.Join(doubts, "; "),
			fmt.Sprintf("if that is right: --host %s --port %d --tls %s --username %s", pop.Host, pop.Port, pop.TLS, fault.ShellQuote(pop.Username)))
	}
	n.host, n.port, n.tls = pop.Host, pop.Port, string(pop.TLS)
	n.username, n.name = cmp.Or(n.username, pop.Username), cmp.Or(n.name, accountName(found.Address.String()))
	return nil
}

// planned is the config as it would be with the account, and the account.
func (a *app) planned(settings []config.Setting, next *config.Account) (*config.Config, error) {
	text, err := os.ReadFile(a.configPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(err, fault.Config, "the config file cannot be read", "look at its permissions")
	}
	cfg, err := config.Parse(a.configPath, config.AddAccount(text, settings))
	if err == nil {
		*next = cfg.Accounts[len(cfg.Accounts)-1]
	}
	return cfg, err
}

// newPassword is the password of an account to be added.
func (a *app) newPassword(ctx context.Context, n newAccount, next config.Account) (secret.Secret, error) {
	switch {
	case n.passwordStdin && !next.Password.InKeychain():
		return "", fault.New(fault.Config, "the password is given twice", "leave out --password-stdin, or password_file and password_command")
	case !next.Password.InKeychain():
		return secret.Source{File: next.Password.File, Command: next.Password.Command}.Read(ctx)
	case !n.passwordStdin && !a.interactive():
		return "", fault.New(fault.Config, "there is no password", "give it with --password-stdin or --password-file FILE")
	}
	text, err := a.askPassword(ctx, next)
	return secret.Secret(text), err
}

func (a *app) interactive() bool {
	f, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// writeAccount stores the password of an account that was tried, writes the account into
// the config, and says where the password is.
func (a *app) writeAccount(ctx context.Context, next config.Account, password secret.Secret, settings []config.Setting) (cfg *config.Config, where string, err error) {
	where, made := "from where the config says", ""
	if next.Password.InKeychain() {
		if where, made, err = a.storePassword(ctx, next, password); err != nil {
			return nil, "", err
		}
		if made != "" {
			settings = append(settings, config.Text("password_file", filepath.Base(made)))
		}
	}
	cfg, err = config.Edit(a.configPath, func(text []byte) ([]byte, error) { return config.AddAccount(text, settings), nil })
	if err != nil && made != "" {
		err = errors.Join(err, os.Remove(made))
	}
	return cfg, where, err
}

// storePassword puts the password where the agent finds it: into the keychain or, where
// there is none, into a file made for it.
func (a *app) storePassword(ctx context.Context, next config.Account, password secret.Secret) (where, made string, err error) {
	item := secret.Item{Service: config.KeychainService, Account: next.KeychainItem()}
	if err := secret.Store(ctx, item, password); err == nil {
		return "in the keychain", "", nil
	}
	path := filepath.Join(filepath.Dir(a.configPath), next.Name+".password")
	if info, err := os.Lstat(path); err == nil && (!info.Mode().IsRegular() || a.named(path)) { // one that was left is replaced
		return "", "", fault.New(fault.Conflict, "there is no keychain, and "+path+" is in use already", "remove it, or name a file with --password-file")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", "", err
	}
	if err := atomicfile.Write(path, 0o600, []byte(string(password)+"\n")); err != nil {
		return "", "", fault.Wrap(err, fault.Config, "there is no keychain, and the password cannot be written to a file", "look at the permissions of the folder of the config")
	}
	return "in the file " + path + ", which only this user can read", path, nil
}

// named reports whether an account of the config has its password in a file.
func (a *app) named(path string) bool {
	abs, err := filepath.Abs(path)
	cfg, loadErr := config.Load(a.configPath)
	return err == nil && loadErr == nil && slices.ContainsFunc(cfg.Accounts, func(c config.Account) bool { return c.Password.File == abs })
}

// afterEdit lets a running agent take up the config, and says what else should be known
// of it.
func (a *app) afterEdit(ctx context.Context, cfg *config.Config) {
	if agent, err := control.Connect(ctx, cfg.DataDir); err == nil {
		_ = agent.Reload(ctx) // it watches the file as well
		_ = agent.Close()
	}
	for _, w := range cfg.Warnings() {
		a.printf("warning: %s\n", w.In(a.configPath))
	}
}
