package operations

import (
	"context"
	"time"

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
	// SignInCancel ends one that is under way.
	SignInCancel(ctx context.Context, ask AccountName) (struct{}, error)
}

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

// SignIn is how far a sign-in has come. It has no token.
type SignIn struct {
	Account  string    `json:"account"`
	Method   string    `json:"method"`    // browser or device
	URL      string    `json:"url"`       // to be opened in a browser
	UserCode string    `json:"user_code"` // to be entered there; "" with method browser
	Expires  time.Time `json:"expires"`   // of the waiting
	// State is waiting (for the person), trying (signed in, the servers are tried), done,
	// or failed. Done says that the token is stored: what the servers said is in POP and SMTP.
	State string    `json:"state"`
	POP   SignInTry `json:"pop"`
	SMTP  SignInTry `json:"smtp"`
	Error string    `json:"error"` // why it failed
	Hint  string    `json:"hint"`
}

// SignInTry is what a login with a new token came to.
type SignInTry struct {
	State string `json:"state"` // "": not yet; ok, failed, or none: the account does not log in there with it
	Text  string `json:"text"`
	Hint  string `json:"hint"`
}

// SignInBegin implements SigningIn.
func (l *Local) SignInBegin(context.Context, BeginSignIn) (SignIn, error) {
	return SignIn{}, noSignIn
}

// SignInState implements SigningIn.
func (l *Local) SignInState(context.Context, string) (SignIn, error) { return SignIn{}, noSignIn }

// SignInPaste implements SigningIn.
func (l *Local) SignInPaste(context.Context, PasteSignIn) (SignIn, error) {
	return SignIn{}, noSignIn
}

// SignInCancel implements SigningIn.
func (l *Local) SignInCancel(context.Context, AccountName) (struct{}, error) {
	return struct{}{}, noSignIn
}

var noSignIn = fault.New(fault.NotFound, "no account can be signed in yet", `auth = "oauth2" with password_command takes the token of another program`)
