package bridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// maxLoginDelay bounds what a server may ask for.
const maxLoginDelay = 24 * time.Hour

func (s *session) connect(ctx context.Context) error {
	s.meter.phase(PhaseConnect)
	cred, err := s.account.Credentials(ctx)
	if err != nil {
		return err
	}
	server, without := s.account.Server, s.avoided()
	server.NoCAPA, server.NoAUTH = slices.Contains(without, "CAPA"), slices.Contains(without, "AUTH")
	server.NoPipelining = server.NoPipelining || s.memory.noPipelining
	server.BareLF, server.Unstuffed = s.memory.bareLF, s.memory.pollState.Unstuffed
	since := s.loggingIn()
	client, err := s.login(ctx, server, cred)
	if renew := s.account.Renew; renew != nil && fault.Is(err, fault.Auth) { // a provider may end a token early
		if cred, err = renew(ctx, cred); err != nil {
			return err
		}
		client, err = s.login(ctx, server, cred)
	}
	if err != nil {
		s.refused(err, since)
		return err
	}
	s.client = client
	if err := s.inherit(ctx, cred.Username); err != nil {
		return err
	}
	s.memory.pollState.Refusals, s.memory.pollState.HangUps = 0, 0
	s.worked("AUTH", "CAPA")
	s.memory.pollState.Delay = int64(min(client.Capabilities().LoginDelay(), maxLoginDelay) / time.Second)
	s.memory.pollState.Expire = expiry(client.Capabilities())
	s.runner.update(func(st *Status) {
		st.LoginDelay, st.MinInterval = time.Duration(s.memory.pollState.Delay)*time.Second, s.memory.pollState.floor()
		st.Expire = s.memory.pollState.Expire
	})
	return nil
}

// login makes a connection that is logged in.
func (s *session) login(ctx context.Context, server pop3.Config, cred pop3.Credentials) (*pop3.Client, error) {
	s.runner.mu.Lock()
	s.runner.tried, s.runner.token = digest(cred), cred.Method == pop3.MethodToken
	s.runner.mu.Unlock()
	client, err := pop3.Dial(ctx, server)
	if err != nil {
		return nil, err
	}
	if err := client.Login(ctx, cred); err != nil {
		if !fault.Is(err, fault.Temporary) {
			_ = client.Quit(s.net) // so that the server need not wait for the rest
		}
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

// loggingIn notes that a login begins, and returns how long ago the one before
// did, of an earlier run too.
func (s *session) loggingIn() (since time.Duration) {
	now := s.now()
	since = now.Sub(time.Unix(s.memory.pollState.LastLogin, 0))
	s.memory.pollState.LastLogin = now.Unix()
	s.runner.mu.Lock()
	s.runner.lastLogin = now
	s.runner.mu.Unlock()
	return since
}

// expiry says how long the server keeps mail (RFC 2449 section 6.7).
func expiry(c pop3.Capabilities) string {
	days, known := c.Expire()
	switch {
	case !known:
		return ""
	case days < 0:
		return "the server keeps mail until it is deleted"
	case days == 0:
		return "the server may delete mail as soon as it was fetched"
	case days == 1:
		return "the server keeps mail for 1 day"
	default:
		return fmt.Sprintf("the server keeps mail for %d days", days)
	}
}
