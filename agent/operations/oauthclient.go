package operations

import (
	"context"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/agent/editing"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/oauth"
	"github.com/popbridge/popbridge/internal/secret"
)

// NewClient is what a person has registered popbridge as with a provider. Where its
// tokens are asked for is built in: no page names that, nor a file.
type NewClient struct {
	Provider     string        `json:"provider"` // see Discovered.TokenProvider
	ClientID     string        `json:"client_id"`
	ClientSecret secret.Secret `json:"client_secret"` // ""
	Tenant       string        `json:"tenant"`        // of Microsoft; ""
}

// MadeClient is what came of it.
type MadeClient struct {
	Wrong []Wrong `json:"wrong"` // then nothing was written
	Name  string  `json:"name"`  // of the table [oauth.NAME]
}

func (l *Local) AddClient(ctx context.Context, ask NewClient) (answer MadeClient, err error) {
	if !slices.Contains(oauth.Providers(), ask.Provider) {
		return answer, fault.New(fault.Denied, "popbridge does not know the provider "+fault.Quote(ask.Provider), "its addresses have to be written into the config: see docs/oauth.md")
	}
	if answer.Wrong = wrongClient(ask); len(answer.Wrong) > 0 {
		return answer, nil
	}
	err = l.edit(func(f editing.File) (err error) {
		answer.Name, err = f.AddClient(editing.Client{Provider: ask.Provider, ID: ask.ClientID, Secret: ask.ClientSecret, Tenant: ask.Tenant})
		return err
	})
	if answer.Wrong, err = wrong(err); err != nil || len(answer.Wrong) > 0 {
		for i, w := range answer.Wrong { // oauth.NAME.client_id
			answer.Wrong[i].Key = w.Key[strings.LastIndexByte(w.Key, '.')+1:]
		}
		return answer, err
	}
	l.takeUp(ctx)
	return answer, nil
}

func (l *Local) UseSignIn(ctx context.Context, ask AccountName) (answer AccountDetails, err error) {
	if err := l.edit(func(f editing.File) error {
		cfg, err := f.Writable()
		if err != nil {
			return err
		}
		c, _, err := f.Account(ask.Account)
		if err != nil {
			return err
		}
		if len(c.Password.Command) > 0 {
			return fault.New(fault.Denied, "the password of account "+c.Name+" is what a command prints", "that is changed in the config")
		}
		name, err := clientFor(cfg, MailServer{Host: c.Host, Port: c.Port, TLS: string(c.TLS)})
		if err != nil {
			return err
		}
		if s := c.Send; s.Host != "" && s.Password.InKeychain() { // where it sends with the password of the account
			if other, err := clientFor(cfg, MailServer{Host: s.Host, Port: s.Port, TLS: string(s.TLS)}); err != nil || other != name && (oauth.ProviderOf(s.Host) == "" || oauth.ProviderOf(s.Host) != oauth.ProviderOf(c.Host)) {
				return fault.New(fault.Denied, "account "+c.Name+" sends by "+s.Host+", which would get the token of another provider", "let the account send by the server of its provider, or with a password of its own for sending, first")
			}
		}
		_, c, err = f.Change(c.Name, []config.Setting{config.Text("auth", string(config.AuthOAuth2)), config.Text("oauth", name), {Key: "password_file"}})
		answer = details(c)
		return err
	}); err != nil {
		return answer, err
	}
	l.takeUp(ctx)
	return answer, nil
}

func wrongClient(ask NewClient) []Wrong {
	list := []Wrong{}
	if ask.ClientID == "" {
		list = append(list, Wrong{"client_id", "the client id is missing", "the provider shows it where popbridge was registered"})
	}
	if ask.ClientSecret != "" {
		if err := secret.Check(ask.ClientSecret); err != nil {
			list = append(list, Wrong{"client_secret", err.Error(), fault.Hint(err)})
		}
	}
	return list
}

// clientFor is the table [oauth.NAME] by which an account at a server can be signed in. A
// page cannot have tokens sent elsewhere: the server is one of their provider, with
// encryption, or one to which the config sends them already.
func clientFor(cfg *config.Config, s MailServer) (name string, err error) {
	if i := slices.IndexFunc(cfg.Accounts, func(c config.Account) bool {
		return c.SignsInToFetch() && c.Host == s.Host && c.Port == s.Port && string(c.TLS) == s.TLS ||
			c.SignsInToSend() && c.Send.Host == s.Host && c.Send.Port == s.Port && string(c.Send.TLS) == s.TLS
	}); i >= 0 {
		return cfg.Accounts[i].OAuth.Name, nil
	}
	provider := oauth.ProviderOf(s.Host)
	if provider == "" || s.TLS == string(config.None) {
		return "", fault.New(fault.Denied, "the page signs in only at servers of which it is known whose tokens they take, with encryption", "`popbridge account add --oauth --host "+fault.ShellQuote(s.Host)+"` adds such an account")
	}
	if name = clientOf(cfg, provider); name == "" {
		return "", fault.New(fault.NotFound, "there is no client id of "+provider, "enter one first: docs/oauth.md says how to get it")
	}
	return name, nil
}

// clientOf is the first table of a provider, "" for none.
func clientOf(cfg *config.Config, provider string) string {
	if i := slices.IndexFunc(cfg.OAuth, func(o config.OAuth) bool { return o.Provider == provider && provider != "" }); i >= 0 {
		return cfg.OAuth[i].Name
	}
	return ""
}
