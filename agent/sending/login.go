package sending

import (
	"context"
	"net"
	"strconv"

	"github.com/popbridge/popbridge/agent/accounts"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
	"github.com/popbridge/popbridge/internal/secret"
)

// server is the outgoing server of an account.
func (s *Set) server(c config.Account, way config.Send) (smtp.Config, error) {
	tlsConfig, err := accounts.SenderTLS(c, way)
	log := s.users.Log.With().Str("component", "smtp").Str("account", c.Name).Logger()
	return smtp.Config{Host: way.Host, Port: way.Port, Security: accounts.SecurityOf(way.TLS), TLS: tlsConfig, Pins: accounts.Pins(way.Pins), Trace: log}, err
}

// credentialsOf brings what a server takes.
type credentialsOf func(context.Context) (sasl.Credentials, error)

// credentials returns what brings the credentials for the outgoing server, and of an
// account that is signed in others than those that it refused.
func (s *Set) credentials(c config.Account, way config.Send) (credentialsOf, func(context.Context, sasl.Credentials) (sasl.Credentials, error)) {
	if !c.TokenFor(way) { // a server of another provider that is known of the account's
		return func(context.Context) (sasl.Credentials, error) {
			return sasl.Credentials{}, fault.New(fault.Auth, way.Host+" is no server for the token of "+c.OAuth.Provider,
				"name the outgoing server of that provider: "+s.users.Command("account set "+fault.ShellQuote(c.Name)+" send.host=HOST"))
		}, nil
	}
	ours := c.SignsInToSend()
	made := func(given secret.Secret, err error) (sasl.Credentials, error) {
		return sasl.Credentials{Username: way.Username, Secret: string(given), Token: way.Auth == config.AuthOAuth2}, err
	}
	if !ours {
		source := accounts.SecretOf(c)
		if !way.Password.InKeychain() {
			source.File, source.Command = way.Password.File, way.Password.Command
		}
		return func(ctx context.Context) (sasl.Credentials, error) {
			password, err := source.Read(ctx)
			if err != nil {
				return sasl.Credentials{}, health.NewPasswordError(err)
			}
			return made(password, nil)
		}, nil
	}
	return func(ctx context.Context) (sasl.Credentials, error) { return made(s.tokens.Token(ctx, c)) },
		func(ctx context.Context, refused sasl.Credentials) (sasl.Credentials, error) {
			return made(s.tokens.Renew(ctx, c, secret.Secret(refused.Secret)))
		}
}

// Try logs in at the outgoing server of an account, as a message would be sent, and sends
// nothing.
func (s *Set) Try(ctx context.Context, c config.Account) error {
	way, ok := WayOf(c)
	if !ok {
		return s.noWay(c.Name)
	}
	credentials, _ := s.credentials(c, way)
	cred, err := credentials(ctx)
	if err != nil {
		return err
	}
	return s.login(ctx, c, way, cred)
}

// TryPassword is Try with a password that is not stored; what is stored goes nowhere.
func (s *Set) TryPassword(ctx context.Context, c config.Account, password secret.Secret) error {
	way, ok := WayOf(c)
	if !ok {
		return s.noWay(c.Name)
	}
	return s.login(ctx, c, way, sasl.Credentials{Username: way.Username, Secret: string(password), Token: way.Auth == config.AuthOAuth2})
}

func (s *Set) login(ctx context.Context, c config.Account, way config.Send, cred sasl.Credentials) error {
	server, err := s.server(c, way)
	if err != nil {
		return err
	}
	client, err := smtp.Dial(ctx, server)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // QUIT was answered, or never will be
	if err := client.Login(ctx, cred); err != nil {
		return err
	}
	s.mu.Lock()
	s.tried[serverOf(way)] = client.Extensions()
	s.mu.Unlock()
	_ = client.Quit(ctx) // it has answered, and that is all
	return nil
}

func serverOf(way config.Send) string { return net.JoinHostPort(way.Host, strconv.Itoa(way.Port)) }
