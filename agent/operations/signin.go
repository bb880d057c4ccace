package operations

import (
	"cmp"
	"context"
	"errors"

	"github.com/popbridge/popbridge/agent/sending"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
)

// SigningIn is about accounts whose provider takes tokens (OAuth 2) in place of a
// password.
type SigningIn interface {
	// SignInBegin begins to sign an account in, in place of one that is under way for it.
	SignInBegin(ctx context.Context, ask BeginSignIn) (SignIn, error)
	// SignInState says how far that of an account has come, also after its end;
	// fault.NotFound where this agent has begun none.
	SignInState(ctx context.Context, account string) (SignIn, error)
	// SignInPaste takes the address that the browser ended at, or the code in it, from a
	// person whose browser cannot reach this machine.
	SignInPaste(ctx context.Context, ask PasteSignIn) (SignIn, error)
	// SignInCancel ends one that is under way; fault.Conflict where the token has come.
	SignInCancel(ctx context.Context, ask AccountName) (struct{}, error)
}

// SignIn is how far a sign-in has come.
type SignIn = signin.SignIn

// BeginSignIn asks to sign an account in.
type BeginSignIn struct {
	Account string `json:"account"`
	Device  bool   `json:"device"` // by a code that is entered in a browser anywhere
}

// PasteSignIn is what a person copied from the browser.
type PasteSignIn struct {
	Account string `json:"account"`
	Text    string `json:"text"`
}

func (l *Local) SignInBegin(ctx context.Context, ask BeginSignIn) (SignIn, error) {
	c, err := l.signed(ask.Account)
	if err != nil {
		return SignIn{}, err
	}
	return l.signIns.Begin(ctx, c, ask.Device, l)
}

func (l *Local) SignInState(_ context.Context, account string) (SignIn, error) {
	c, err := l.signed(account)
	if err != nil {
		return SignIn{}, err
	}
	return l.signIns.State(c.Name)
}

func (l *Local) SignInPaste(ctx context.Context, ask PasteSignIn) (SignIn, error) {
	c, err := l.signed(ask.Account)
	if err != nil {
		return SignIn{}, err
	}
	return l.signIns.Paste(ctx, c.Name, ask.Text)
}

func (l *Local) SignInCancel(_ context.Context, ask AccountName) (struct{}, error) {
	c, err := l.signed(ask.Account)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, l.signIns.Cancel(c.Name)
}

// signed is an account that can be signed in.
func (l *Local) signed(name string) (config.Account, error) {
	chosen, err := l.accounts.Choose([]string{name})
	if err != nil {
		return config.Account{}, err
	}
	c := chosen[0].Config
	if c.OAuth == nil {
		return c, fault.New(fault.Config, "account "+c.Name+" does not sign in: it has a password, or the token of another program",
			"to sign it in, write a table [oauth.NAME] (docs/oauth.md), and then: "+l.users.Command("account set "+c.Name+" auth=oauth2 password_file= password_command="))
	}
	return c, nil
}

// TryPOP implements signin.Servers.
func (l *Local) TryPOP(ctx context.Context, c config.Account) signin.Try {
	if !c.SignsInToFetch() {
		return signin.Try{State: signin.None, Text: "the server for fetching gets no token of it"}
	}
	chosen, err := l.accounts.Choose([]string{c.Name})
	var p bridge.Probe
	if err == nil {
		err = withRunner(ctx, chosen[0], func(r *bridge.Runner) (err error) {
			p, err = r.Probe(ctx)
			return err
		})
	}
	return tried(c, err, "the server has "+fault.Count(p.Messages, "message"))
}

// TrySMTP implements signin.Servers.
func (l *Local) TrySMTP(ctx context.Context, c config.Account) signin.Try {
	switch way, known := sending.WayOf(c); {
	case !known:
		return signin.Try{State: signin.None, Text: "the outgoing server is not known"}
	case !c.TokenFor(way):
		return signin.Try{State: signin.None, Text: way.Host + " is no server for the token of " + c.OAuth.Provider}
	case !c.SignsInToSend():
		return signin.Try{State: signin.None, Text: "the outgoing server has a password of its own"}
	}
	return tried(c, l.sending.Try(ctx, c), "the outgoing server takes mail")
}

func tried(c config.Account, err error, went string) signin.Try {
	if err == nil {
		return signin.Try{State: signin.OK, Text: went}
	}
	hint := fault.Hint(err)
	if fault.Is(err, fault.Auth) {
		hint = "if another account than " + c.Username + " was chosen in the browser, sign in once more and choose that one; otherwise " +
			cmp.Or(hint, "look in the settings of the provider whether mail programs may log in there")
	}
	_, byPOP := errors.AsType[*pop3.ReplyError](err)
	_, bySMTP := errors.AsType[*smtp.ReplyError](err)
	return signin.Try{State: signin.Failed, Text: err.Error(), Hint: hint, Refused: fault.Is(err, fault.Auth) && (byPOP || bySMTP)}
}

// SignedIn implements signin.Servers: all that waited for it goes on.
func (l *Local) SignedIn(c config.Account) {
	same := func(o config.Account) bool {
		return o.OAuth != nil && o.OAuth.Name == c.OAuth.Name && o.Username == c.Username
	}
	l.accounts.Retry(same)
	for _, o := range l.users.Config().Accounts {
		if same(o) {
			l.sending.SignedIn(o.Name)
		}
	}
}
