package accounts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/mailconn"
	"github.com/popbridge/popbridge/internal/secret"
)

// bridgeAccount says in the bridge's words what the config says.
func (s *Set) bridgeAccount(c config.Account) (bridge.Account, error) {
	tlsConfig, err := ClientTLS(c)
	if err != nil {
		return bridge.Account{}, err
	}
	log := s.users.Log.With().Str("component", "pop3").Str("account", c.Name).Logger()
	deleting := Deleting(c)
	return bridge.Account{
		Name:        c.Name,
		Server:      serverOf(c, tlsConfig, log),
		Credentials: func(ctx context.Context) (pop3.Credentials, error) { return credentials(ctx, c, s.secretOf(c)) },
		Renew:       s.renew(c),
		Configured: func(name string) bool {
			_, ok := s.users.Config().Account(name)
			return ok
		},
		SecretEvery: SecretEvery(c.SignsInToFetch(), c.Auth, c.Password),
		PollEvery:   c.PollEvery,
		Keep:        deleting.Keep,
		Folder:      c.Folder,

		Shadow: deleting.Shadow, ConfirmDeletes: deleting.ConfirmDeletes,
		DeleteExpunged: deleting.DeleteExpunged, ExpungeGrace: deleting.ExpungeGrace,
	}, nil
}

// Deleting has what an account deletes on its server, and nothing else.
func Deleting(c config.Account) bridge.Account {
	return bridge.Account{Keep: keepOf(c.Keep, c.Quota), Shadow: c.Shadow, ConfirmDeletes: c.ConfirmDeletes,
		DeleteExpunged: c.DeleteExpunged, ExpungeGrace: c.DeleteGrace}
}

func serverOf(c config.Account, tlsConfig *tls.Config, log zerolog.Logger) pop3.Config {
	return pop3.Config{
		Host: c.Host, Port: c.Port, Security: SecurityOf(c.TLS), TLS: tlsConfig, Pins: Pins(c.Pins),
		MaxMessage: c.MaxMessageSize, Trace: log,
	}
}

// Try logs in at the server of an account that the config does not have yet, with a
// password that is not stored yet, and looks.
func Try(ctx context.Context, c config.Account, password secret.Secret) (bridge.Probe, error) {
	tlsConfig, err := ClientTLS(c)
	if err != nil {
		return bridge.Probe{}, err
	}
	given := func(context.Context) (secret.Secret, error) { return password, nil }
	return bridge.Try(ctx, bridge.Account{
		Name: c.Name, Server: serverOf(c, tlsConfig, zerolog.Nop()),
		Credentials: func(ctx context.Context) (pop3.Credentials, error) { return credentials(ctx, c, given) },
	})
}

// Reach connects to the server of an account that the config does not have yet, and does
// not log in.
func Reach(ctx context.Context, c config.Account) error {
	tlsConfig, err := ClientTLS(c)
	if err != nil {
		return err
	}
	return bridge.Reach(ctx, serverOf(c, tlsConfig, zerolog.Nop()))
}

// SecretEvery is how often it is looked whether a refused secret has changed. A
// file is cheap to read, and a token is renewed by itself; otherwise a command or a
// keychain may ask a person.
func SecretEvery(signsIn bool, auth config.Auth, from config.PasswordSource) time.Duration {
	switch {
	case signsIn:
		return 0 // a new sign-in tells
	case from.File != "":
		return 10 * time.Second
	case auth == config.AuthOAuth2:
		return time.Minute
	}
	return 5 * time.Minute
}

// SecurityOf is that of the config as the clients of a server have it.
func SecurityOf(s config.Security) mailconn.Security {
	switch s {
	case config.StartTLS:
		return mailconn.StartTLS
	case config.None:
		return mailconn.Plain
	default:
		return mailconn.Implicit
	}
}

// Pins are those of the config as the clients of a server have them.
func Pins(list []config.Pin) (pins []mailconn.Pin) {
	for _, p := range list {
		pins = append(pins, mailconn.Pin(p))
	}
	return pins
}

func keepOf(k config.KeepOnServer, quota int64) plan.Keep {
	switch k.Rule {
	case config.KeepNever:
		return plan.KeepNever()
	case config.KeepFor:
		return plan.KeepFor(k.For)
	case config.KeepNewest:
		return plan.KeepNewest(k.Newest)
	case config.KeepBelow:
		return plan.KeepBelow(k.Percent, quota)
	default:
		return plan.KeepForever()
	}
}

// ClientTLS trusts the system's authorities and those in ca_file: a provider
// that changes from its own authority to a public one goes on working.
func ClientTLS(c config.Account) (*tls.Config, error) { return clientTLS(c, c.TLS, c.Pins) }

// SenderTLS is ClientTLS for the SMTP server of an account.
func SenderTLS(c config.Account, way config.Send) (*tls.Config, error) {
	return clientTLS(c, way.TLS, way.Pins)
}

func clientTLS(c config.Account, security config.Security, pins []config.Pin) (*tls.Config, error) {
	least := uint16(tls.VersionTLS12)
	switch c.TLSMinimum {
	case config.TLS11:
		least = tls.VersionTLS11
	case config.TLS10:
		least = tls.VersionTLS10
	}
	if c.CAFile == "" || security == config.None || len(pins) > 0 {
		return &tls.Config{MinVersion: least}, nil
	}
	certs, err := ReadCAFile(c.CAFile, c.Name)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without authorities still has the one in the file
	}
	for _, cert := range certs {
		roots.AddCert(cert)
	}
	return &tls.Config{MinVersion: least, RootCAs: roots}, nil
}

func credentials(ctx context.Context, c config.Account, read func(context.Context) (secret.Secret, error)) (pop3.Credentials, error) {
	s, err := read(ctx)
	if err != nil && c.SignsInToFetch() {
		return pop3.Credentials{}, err // of the network, or a person has to sign in
	}
	if err != nil {
		return pop3.Credentials{}, health.NewPasswordError(err)
	}
	cred := pop3.Credentials{Username: c.Username, Secret: string(s)}
	switch c.Auth {
	case config.AuthOAuth2:
		cred.Method = pop3.MethodToken
	case config.AuthAPOP:
		cred.Method = pop3.MethodAPOP
	}
	return cred, nil
}

// secretOf returns what reads the secret of an account.
func (s *Set) secretOf(c config.Account) func(context.Context) (secret.Secret, error) {
	if c.SignsInToFetch() {
		return func(ctx context.Context) (secret.Secret, error) { return s.tokens.Token(ctx, c) }
	}
	return SecretOf(c).Read
}

// renew returns what brings another token than a refused one, nil for an account that is
// not signed in to fetch.
func (s *Set) renew(c config.Account) func(context.Context, pop3.Credentials) (pop3.Credentials, error) {
	if !c.SignsInToFetch() {
		return nil
	}
	return func(ctx context.Context, refused pop3.Credentials) (pop3.Credentials, error) {
		return credentials(ctx, c, func(ctx context.Context) (secret.Secret, error) {
			return s.tokens.Renew(ctx, c, secret.Secret(refused.Secret))
		})
	}
}

// SecretOf says where the password of an account is; nowhere, where it is signed in.
func SecretOf(c config.Account) secret.Source {
	src := secret.Source{File: c.Password.File, Command: c.Password.Command}
	if c.Password.InKeychain() && !c.SignsInToFetch() {
		src.Keychain = secret.Item{Service: config.KeychainService, Account: c.KeychainItem()}
	}
	return src
}
