package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/popbridge/popbridge/agent"
	"github.com/popbridge/popbridge/agent/datadir"
	"github.com/popbridge/popbridge/installer/trust"
	"github.com/popbridge/popbridge/internal/fault"
)

func (a *app) newTrustCommand() *cobra.Command {
	return parentOf("trust", "Let the mail programs of this computer trust popbridge's certificate",
		"popbridge makes its own certificate for mail programs, and the authority that signs\n"+
			"it. A program that trusts the authority asks no question about the certificate, also\n"+
			"when it is renewed every year. Without it, programs ask once, or are given the file\n"+
			"tls/ca.pem in the data folder.",
		a.newTrustInstallCommand(), a.newTrustRemoveCommand(), a.newTrustStatusCommand())
}

// trusting are the flags of the verbs.
type trusting struct{ system, yes, all bool }

func (t *trusting) describe(c *cobra.Command) {
	c.Flags().BoolVar(&t.system, "system", false, "the store of the whole machine instead of this user's; as root, on Linux")
}

func (a *app) newTrustInstallCommand() *cobra.Command {
	var t trusting
	c := &cobra.Command{
		Use:   "install",
		Short: "Put the local authority into the stores of mail programs",
		Long: "Put the local certificate authority into the stores that mail programs read: the\n" +
			"profiles of Thunderbird and Firefox, on macOS the login keychain, on Windows the\n" +
			"store of this user. On Linux the store of the system is root's: --system. It says\n" +
			"what that means, and asks first.",
		Example: "  popbridge trust install\n  sudo popbridge trust install --system",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.configNamed = c.Flags().Changed("config")
			return a.trustInstall(c.Context(), t)
		},
	}
	t.describe(c)
	c.Flags().BoolVar(&t.yes, "yes", false, "do not ask")
	return c
}

func (a *app) newTrustRemoveCommand() *cobra.Command {
	var t trusting
	c := &cobra.Command{
		Use:   "remove",
		Short: "Take the local authority out of these stores",
		Long: "Take the local certificate authority out of the stores that mail programs read, with\n" +
			"former certificates of the same key, and nothing else. --all takes out those of other\n" +
			"data folders of popbridge as well, also of one that is gone.",
		Example: "  popbridge trust remove\n  popbridge trust remove --all",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.configNamed = c.Flags().Changed("config")
			return a.trustRemove(c.Context(), t)
		},
	}
	t.describe(c)
	c.Flags().BoolVar(&t.all, "all", false, "every authority that popbridge has made, of whatever data folder")
	return c
}

func (a *app) newTrustStatusCommand() *cobra.Command {
	return a.addJSON(&cobra.Command{
		Use:     "status",
		Short:   "Show which stores trust the local authority",
		Example: "  popbridge trust status",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a.configNamed = c.Flags().Changed("config")
			return a.trustStatus(c.Context())
		},
	})
}

// authority returns the local authority and the data folder that it is in; create says
// whether it is made where there is none, else it is nil.
func (a *app) authority(ctx context.Context, create bool) (ca *x509.Certificate, dataDir string, err error) {
	cfg, err := a.loadConfig()
	if err == nil {
		err = a.asAccount()
	}
	if err != nil {
		return nil, "", err
	}
	if create {
		ca, err = agent.Authority(ctx, cfg, agent.Options{Log: a.commandLog(cfg)})
	} else {
		ca, err = datadir.ReadAuthority(cfg.DataDir, datadir.AuthorityFile(cfg.DataDir))
	}
	if fault.Is(err, fault.Denied) { // the agent runs as another user
		err = fault.New(fault.Denied, err.Error(), "for the programs that read the store of the system: sudo "+a.command("trust install --system")+
			"; each other program can be told once to trust the certificate that it shows")
	}
	return ca, cfg.DataDir, err
}

func (a *app) trustInstall(ctx context.Context, t trusting) error {
	stores, err := a.trustStores(t.system)
	if err != nil {
		return err
	}
	if !t.yes && !a.interactive() {
		return fault.New(fault.Config, "trusting an authority has to be confirmed, and there is no terminal to ask on", "add --yes; nothing was changed")
	}
	ca, dir, err := a.authorityOf(ctx, t.system, true)
	if err == nil {
		err = trust.Check(ca)
	}
	if err != nil {
		return err
	}
	mine, system := split(stores, t.system)
	if len(mine) == 0 {
		a.printf("no Thunderbird and no Firefox has been started by this user yet, and there is no other store of this user\n")
		a.printSystem(ctx, ca, system)
		return nil
	}
	for _, s := range mine {
		if err := s.Check(ca); err != nil {
			return err
		}
	}
	untrusting := slices.DeleteFunc(slices.Clone(mine), func(s trust.Store) bool {
		state, _, err := s.State(ctx, ca)
		return err == nil && state == trust.Trusted
	})
	if len(untrusting) > 0 {
		a.explainTrust(ca, dir, untrusting)
	}
	if len(untrusting) > 0 && !t.yes {
		yes, err := a.yes(ctx, "Let them trust it? [y/N] ", false)
		if err == nil && !yes {
			err = fault.New(fault.Denied, "nothing was changed", "each program can be told once to trust the certificate that it shows, or is given "+datadir.AuthorityFile(dir))
		}
		if err != nil {
			return err
		}
	}
	err = a.eachStore(mine, func(s trust.Store) error {
		changed, err := s.Install(ctx, ca)
		switch {
		case err != nil:
			return err
		case !changed:
			a.printf("%s: trusted already\n", s.Name)
		case s.Running():
			a.printf("%s: trusted; it runs, and has to be started again\n", s.Name)
		default:
			a.printf("%s: trusted\n", s.Name)
		}
		return nil
	})
	a.printSystem(ctx, ca, system)
	return err
}

// explainTrust says what it means to trust the authority.
func (a *app) explainTrust(ca *x509.Certificate, dataDir string, stores []trust.Store) {
	a.printf("popbridge signs the certificate of its IMAP server itself, with an authority of its own.\n"+
		"Programs that trust the authority ask no question about the certificate.\n\n"+
		"What that means: whoever has the key of the authority can pretend to be a server under\n"+
		"the names and addresses of this computer, and under no others:\n  %s\n"+
		"It cannot sign mail or programs. The key is in %s,\n"+
		"which only you (and root) can read. The authority ends on %s.\n\n"+
		"These stores would trust it:\n",
		trust.SpeaksFor(ca), strings.TrimSuffix(datadir.AuthorityFile(dataDir), ".pem")+"-key.pem", ca.NotAfter.Format(time.DateOnly))
	for _, s := range stores {
		a.printf("  %s (%s)\n", s.Name, s.Path)
	}
	a.printf("`%s` takes it out again.\n", a.command("trust remove"))
}

// printSystem says how the store of the system would trust the authority, where it does
// not.
func (a *app) printSystem(ctx context.Context, ca *x509.Certificate, stores []trust.Store) {
	for _, s := range stores {
		if state, _, err := s.State(ctx, ca); err != nil || state != trust.Trusted {
			a.printf("%s: only root may change it: sudo %s\n", s.Name, a.command("trust install --system"))
		}
	}
}

// split tells the stores that are to be changed from those of the system, which are
// another command's unless system.
func split(stores []trust.Store, system bool) (mine, others []trust.Store) {
	for _, s := range stores {
		if s.System == system {
			mine = append(mine, s)
		} else {
			others = append(others, s)
		}
	}
	return mine, others
}

func (a *app) trustRemove(ctx context.Context, t trusting) error {
	stores, err := a.trustStores(t.system)
	if err != nil {
		return err
	}
	var ca *x509.Certificate
	if !t.all {
		if ca, _, err = a.authorityOf(ctx, t.system, false); err != nil {
			return err
		}
		if ca == nil {
			a.printf("there is no authority in the data folder; `%s` removes those of other data folders\n", a.command("trust remove --all"))
			return nil
		}
	}
	mine, system := split(stores, t.system)
	err = a.eachStore(mine, func(s trust.Store) error {
		removed, err := s.Remove(ctx, ca)
		switch {
		case err != nil:
			return err
		case removed == 0:
			a.printf("%s: not trusted\n", s.Name)
		case s.Running():
			a.printf("%s: removed; it runs, and goes on trusting it until it ends\n", s.Name)
		default:
			a.printf("%s: removed\n", s.Name)
		}
		return nil
	})
	for _, s := range system {
		state, others, stateErr := s.State(ctx, ca)
		if stateErr == nil && (state != trust.NotTrusted || t.all && others > 0) {
			a.printf("%s: only root may change it: sudo %s\n", s.Name, a.command("trust remove --system"+allFlag(t.all)))
		}
	}
	return err
}

func allFlag(all bool) string {
	if all {
		return " --all"
	}
	return ""
}

// eachStore does something with each store. What fails for the same reason is said
// once.
func (a *app) eachStore(stores []trust.Store, do func(trust.Store) error) error {
	f := &failures{part: true}
	names := map[string][]string{}
	var first []error
	failed := 0
	for _, s := range stores {
		err := do(s)
		if err == nil {
			continue
		}
		if errors.Is(err, context.Canceled) {
			return err
		}
		if names[err.Error()] == nil {
			first = append(first, err)
		}
		names[err.Error()] = append(names[err.Error()], s.Name)
		failed++
	}
	for _, err := range first {
		f.errs = append(f.errs, fault.New(fault.KindOf(err), strings.Join(names[err.Error()], "; ")+": "+err.Error(), fault.Hint(err)))
	}
	if failed == 0 {
		return nil
	}
	f.part = failed < len(stores)
	return f
}
