package operations

import (
	"context"

	"github.com/popbridge/popbridge/internal/secret"
)

// Editing is about the accounts of the config and their passwords. What a person has
// typed wrong is in the answers, by its key; an error is about all of what was asked.
// No answer has a password of a provider.
type Editing interface {
	// Discover finds the server of a mail address, and tells each step as it is taken. It
	// answers one result.
	Discover(ctx context.Context, ask Address, progress func(Progress)) ([]Discovered, error)
	// TryAccount logs in at the server of an account that there is not yet, and looks;
	// nothing is retrieved, changed or written.
	TryAccount(ctx context.Context, ask NewAccount) (Tried, error)
	// AddAccount stores the password of an account and writes it into the config, without
	// trying it.
	AddAccount(ctx context.Context, ask NewAccount) (AddedAccount, error)
	// AddClient writes what popbridge is registered as with a provider of tokens.
	AddClient(ctx context.Context, ask NewClient) (MadeClient, error)
	// MakeFirstDevice makes the login of a mail program for a user who has none.
	MakeFirstDevice(ctx context.Context, ask DeviceOf) (FirstDevice, error)
	// AccountDetails is an account as the config has it.
	AccountDetails(ctx context.Context, ask AccountName) (AccountDetails, error)
	// PlanAccount says what SetAccount would come to, and changes nothing. Where it is about
	// deletions on the server, that is looked at.
	PlanAccount(ctx context.Context, ask SetAccount) (PlannedAccount, error)
	// SetAccount changes keys of an account in the config, those of SettableKeys.
	SetAccount(ctx context.Context, ask SetAccount) (PlannedAccount, error)
	// SetLogin changes the password of an account, and where it is sent. Both are tried at
	// the server first; what that refuses is not stored.
	SetLogin(ctx context.Context, ask SetLogin) (Tried, error)
	// SetSending changes by which server an account sends, and the password there. They are
	// tried first; what is refused is not stored.
	SetSending(ctx context.Context, ask SetSending) (TriedSending, error)
	// UseSignIn has an account signed in, whose password was stored; that stays where it is.
	UseSignIn(ctx context.Context, ask AccountName) (AccountDetails, error)
	// RemoveAccount takes an account out of the config. Its mail stays, here and there.
	RemoveAccount(ctx context.Context, ask AccountName) (AccountDetails, error)
	// ConfirmSeen is Confirm of the deletions that a person has seen, and of no others.
	ConfirmSeen(ctx context.Context, ask Seen) (Confirmed, error)
	// RenameUserWithAccounts is RenameUser, and gives the accounts of the config to the new
	// name.
	RenameUserWithAccounts(ctx context.Context, ask Rename) (User, error)
}

var _ Editing = (*Local)(nil)

// Seen is what a person has seen of an account before it is confirmed.
type Seen struct {
	Account string `json:"account"`
	Seen    string `json:"seen"` // the Digest of a Preview; "": there was nothing to delete
	// Incomplete is as in Confirm, of what the Preview had.
	Incomplete bool `json:"incomplete"`
}

// Address is a mail address whose server is looked for.
type Address struct {
	Address string `json:"address"`
	Known   bool   `json:"known"`   // it is looked for also where an account has this address
	ByHand  bool   `json:"by_hand"` // it is entered: all that is answered is which account has this address
}

// Discovered is the server of a mail address.
type Discovered struct {
	Address       string     `json:"address"`  // with its domain in ASCII
	Account       string     `json:"account"`  // that has this address already; "": none
	Provider      string     `json:"provider"` // "": not known
	POP           MailServer `json:"pop"`
	SMTP          MailServer `json:"smtp"`           // without a host: not known
	OtherUsername string     `json:"other_username"` // to be tried where that of POP is refused; "": none
	OAuth2Only    bool       `json:"oauth2_only"`    // it takes no password
	OAuth         string     `json:"oauth"`          // the table [oauth.NAME] of the config by which it can be signed in; "": none
	TokenProvider string     `json:"token_provider"` // takes tokens, as [oauth.NAME] calls it; "": not known to
	Doubts        []Doubt    `json:"doubts"`         // what a person has to agree to before a password is sent
	Advice        Advice     `json:"advice"`
}

// MailServer is how to reach a server, and the user name there.
type MailServer struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	TLS      string `json:"tls"` // implicit, starttls or none
	Username string `json:"username"`
}

// Doubt is something that a person has to agree to: a server outside the domain of the
// address, or a connection without encryption.
type Doubt struct {
	Host    string `json:"host"`
	Foreign string `json:"foreign"` // the domain; "": it is about encryption
}

// Advice is what a provider asks of those who fetch mail.
type Advice struct {
	Provider    string     `json:"provider"`
	Needs       [][]string `json:"needs"`        // all of the outer list, one of each inner one: discover.Need
	EnableURL   string     `json:"enable_url"`   // where POP is switched on
	HelpURLs    []string   `json:"help_urls"`    // help pages of the provider
	MinInterval float64    `json:"min_interval"` // seconds between two polls; 0: not known
	Note        string     `json:"note"`         // in English
}

// NewAccount is an account to be tried or added.
type NewAccount struct {
	Address       string        `json:"address"`
	Server        MailServer    `json:"server"`
	SMTP          MailServer    `json:"smtp"`           // without a host: not known
	OtherUsername string        `json:"other_username"` // see Discovered
	Password      secret.Secret `json:"password"`
	Keep          string        `json:"keep"`  // keep_on_server; "": forever
	OAuth         bool          `json:"oauth"` // it is to be signed in, and has no password
}

// Wrong is what a person has typed wrong.
type Wrong struct {
	Key  string `json:"key"` // of the config
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// Tried is what a login at a server came to.
type Tried struct {
	Wrong    []Wrong `json:"wrong"`    // then nothing was tried
	Username string  `json:"username"` // that the server knows, of the two that were given
	Advice   Advice  `json:"advice"`   // where the provider is known
	Command  string  `json:"command"`  // adds the account where the certificate of its server is refused; "" otherwise
	Probe
}

// AddedAccount is an account that was added.
type AddedAccount struct {
	Wrong    []Wrong `json:"wrong"` // then nothing was added
	Account  string  `json:"account"`
	User     string  `json:"user"`     // who sees its mail
	Password string  `json:"password"` // where it is: keychain or file; signin: it is to be signed in
}

// DeviceOf names a user.
type DeviceOf struct {
	User string `json:"user"`
}

// FirstDevice is a new login with what to enter in a mail program. It is told this once.
type FirstDevice struct {
	Name     string     `json:"name"`     // "": the user has one already
	Password string     `json:"password"` // ""
	Server   MailServer `json:"server"`   // for the programs of this machine; tls is none where it is off
	Outgoing MailServer `json:"outgoing"` // the same for what they send; without a host: they send through the provider
}

// AccountName names an account.
type AccountName struct {
	Account string `json:"account"`
}

// AccountDetails is an account as the config has it.
type AccountDetails struct {
	Account  string            `json:"account"`
	User     string            `json:"user"`
	Server   MailServer        `json:"server"`
	Settings map[string]string `json:"settings"` // the SettableKeys, as SetAccount takes them
	Password string            `json:"password"` // where it is: keychain, file or command; signin: it has none
	SignsIn  bool              `json:"signs_in"` // SignInBegin signs it in, to fetch, to send or for both
	// By which it can be signed in, as in Discovered; both "" where its server is not known
	// to take tokens, or its password is what a command prints.
	OAuth         string  `json:"oauth"`
	TokenProvider string  `json:"token_provider"`
	Advice        Advice  `json:"advice"`
	Sending       SendsBy `json:"sending"`
}

// SendsBy is by which server an account sends.
type SendsBy struct {
	Server   MailServer `json:"server"`   // that of the config; without a host: it names none
	Found    MailServer `json:"found"`    // that of its provider, which holds then; without a host: none is known
	Password string     `json:"password"` // of its own, where that is: file or command; "": that of the account, or its sign-in
	Off      bool       `json:"off"`      // nothing is sent by any account
	// Shared are addresses of this account from which mail leaves by another one.
	Shared []SharedAddress `json:"shared"`
}

// SharedAddress is an address that several accounts have.
type SharedAddress struct {
	Address string `json:"address"`
	Account string `json:"account"` // by which mail from it leaves
}

// SetAccount asks to change keys of an account.
type SetAccount struct {
	Account  string            `json:"account"`
	Settings map[string]string `json:"settings"` // "" is the default
	// Seen is the Digest of the Preview of PlanAccount, where a person has seen one. Without
	// the one of now nothing is changed that would delete without being confirmed.
	Seen string `json:"seen"`
}

// PlannedAccount is what a change comes to.
type PlannedAccount struct {
	Wrong []Wrong `json:"wrong"` // then nothing is changed
	// Preview is what the next polls would do with the change; null where that is as before,
	// and after SetAccount.
	Preview *Preview `json:"preview"`
}

// SetLogin asks to change the password of an account, and its server.
type SetLogin struct {
	Account  string        `json:"account"`
	Server   MailServer    `json:"server"`
	Password secret.Secret `json:"password"`
}

// SetSending asks to change by which server an account sends.
type SetSending struct {
	Account  string        `json:"account"`
	Server   MailServer    `json:"server"`   // without a host: that of its provider, with the password of the account
	Own      bool          `json:"own"`      // the password is for this server only, else that of the account
	Password secret.Secret `json:"password"` // "" for the server of its provider
}

// TriedSending is what a login at the outgoing server of an account came to, and before that
// one at its POP3 server, where the password is for both.
type TriedSending struct {
	Wrong []Wrong `json:"wrong"` // then nothing was tried
	SendProbe
	Refused bool `json:"refused"` // the server does not take user name or password
}
