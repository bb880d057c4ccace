package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer"
	"github.com/popbridge/popbridge/installer/discover"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/secret"
)

const oauthGuide = installer.Homepage + "/blob/main/docs/oauth.md"

// signsIn reports whether an account is to be signed in: its server takes no password, or
// there is a client id for it and a person would rather not give one.
func (a *app) signsIn(ctx context.Context, pop discover.Server) (bool, error) {
	if pop.OAuth2Only() {
		return true, nil
	}
	if a.clientFor(oauth.ProviderOf(pop.Host)) == "" {
		return false, nil
	}
	return a.yes(ctx, "Sign in with the browser, in place of a password? [y/N] ", false)
}

// clientFor is the table [oauth.NAME] of a provider, "" for none.
func (a *app) clientFor(provider string) string {
	cfg, err := config.Load(a.configPath)
	if err != nil || provider == "" {
		return "" // there is no config yet
	}
	if i := slices.IndexFunc(cfg.OAuth, func(o config.OAuth) bool { return o.Provider == provider }); i >= 0 {
		return cfg.OAuth[i].Name
	}
	return ""
}

// addBySignIn writes an account whose server takes a token, and signs it in. The account
// is there also where that did not work.
func (a *app) addBySignIn(ctx context.Context, found discover.Found) (account config.Account, err error) {
	provider := oauth.ProviderOf(found.POP.Host)
	if provider == "" {
		return account, fault.New(fault.Config, "this server takes no password, only OAuth2, and it is not known whose tokens it takes",
			"the config can say so, and then `popbridge account signin NAME` signs in: "+oauthGuide)
	}
	client := a.clientFor(provider)
	if client == "" {
		if client, err = a.askClient(ctx, provider); err != nil {
			return account, err
		}
	}
	mailbox := editing.Mailbox{Name: editing.AccountName(found.Address.String()), Address: found.Address.String(), POP: found.POP, SMTP: found.SMTP, Advice: found.Advice, SignsIn: true}
	settings := append(mailbox.New(), config.Text("auth", string(config.AuthOAuth2)), config.Text("oauth", client))
	if account, err = a.editing().Planned(settings); err != nil {
		return account, err
	}
	if _, err := a.editing().Add(ctx, account, "", settings); err != nil {
		return account, err
	}
	a.printf("  written to %s\n", a.configPath)
	if err := a.afterEdit(ctx); err != nil {
		return account, err
	}
	if err = a.signIn(ctx, account.Name, false, false); err == nil || ctx.Err() != nil {
		return account, err
	}
	a.printf("%s\n", sentences(err))
	if _, signedIn := errors.AsType[*failures](err); !signedIn { // else one of its servers has refused
		a.printf("%s\n", a.toSignIn("The account is set up, and waits for you to sign in", account))
	}
	return account, nil
}

// toSignIn says how an account is signed in, or that it is already: by the sign-in of
// another account with the same user name, or of one that was removed.
func (a *app) toSignIn(wants string, c config.Account) string {
	if signin.Kept(config.DataDir(a.configPath), c) {
		return "Account " + c.Name + " uses the sign-in of " + c.Username + " that is kept."
	}
	return wants + ": " + a.command("account signin "+c.Name)
}

// askClient asks for the client id by which the provider knows popbridge, and for its
// secret where the provider gives one, and writes them into the config.
func (a *app) askClient(ctx context.Context, provider string) (name string, err error) {
	a.printf("This provider takes no password from a program: you sign in with the browser. It wants\n"+
		"to know which program asks, by a client id that you register there, once for all your\n"+
		"accounts; that takes ten minutes. How it is done, step by step:\n  %s\n", oauthGuide)
	none := fault.New(fault.Config, "there is no client id, so nothing was set up", "register one as that page says, then `"+a.command("setup")+"` goes on")
	for range tries {
		client := editing.Client{Provider: provider}
		if client.ID, err = a.question(ctx, "Client id (Enter alone: stop here): "); err != nil {
			return "", err
		}
		if client.ID == "" {
			return "", none
		}
		if provider == "microsoft" || provider == "microsoft-cn" {
			client.Tenant, err = a.question(ctx, "Tenant, where the client id is for one organisation or for personal accounts only [any]: ")
		} else {
			var typed string
			typed, err = a.hidden(ctx, "Client secret (Enter alone: there is none): ")
			client.Secret = secret.Secret(typed)
		}
		if err != nil {
			return "", err
		}
		if name, err = a.editing().AddClient(client); err == nil || ctx.Err() != nil || !fault.Is(err, fault.Config) {
			return name, err
		}
		a.printf("%s\n", sentences(err))
	}
	return "", none
}
