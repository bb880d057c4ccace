package bridge

import (
	"context"
	"strings"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// Probe is what a session finds that only looks.
type Probe struct {
	TLS          *pop3.TLSInfo // nil: in the clear
	Capabilities string        // what CAPA announces, "" without CAPA
	Messages     int
	Size         int64 // bytes of all of them
	Warnings     []string
}

// Probe logs in and looks: it retrieves nothing, changes nothing on the server,
// and of what is remembered only what the server says about logins. It waits for
// the end of a poll that is running: a POP3 mailbox has one session at a time.
func (r *Runner) Probe(ctx context.Context) (probe Probe, err error) {
	err = r.look(ctx, func(ctx context.Context, s *session) (err error) {
		probe, err = s.probe(ctx)
		return err
	})
	return probe, err
}

func (s *session) probe(ctx context.Context) (p Probe, err error) {
	defer s.outlive(ctx)()
	if err := s.connect(ctx); err != nil {
		return p, err
	}
	defer s.client.Close()
	if p, err = look(ctx, s.client); err == nil {
		_ = s.client.Quit(s.net) // nothing was deleted that it could confirm
	}
	return p, err
}

func look(ctx context.Context, c *pop3.Client) (p Probe, err error) {
	if p.Messages, p.Size, err = c.Stat(ctx); err != nil {
		return p, err
	}
	if info, ok := c.TLS(); ok {
		p.TLS = &info
	}
	p.Capabilities = strings.Join(c.Capabilities().List(), ", ")
	p.Warnings = c.Warnings()
	return p, nil
}

// Try is Probe for an account that has no runner yet: nothing of it is remembered.
func Try(ctx context.Context, a Account) (p Probe, err error) {
	cred, err := a.Credentials(ctx)
	if err != nil {
		return p, err
	}
	c, err := pop3.Dial(ctx, a.Server)
	if err != nil {
		return p, err
	}
	defer c.Close()
	if err = c.Login(ctx, cred); err == nil {
		p, err = look(ctx, c)
	}
	if !fault.Is(err, fault.Temporary) {
		_ = c.Quit(ctx)
	}
	return p, err
}

// Reach connects to a server, and looks no further than what it says before a login.
func Reach(ctx context.Context, server pop3.Config) error {
	c, err := pop3.Dial(ctx, server)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.Quit(ctx) // it has answered, and that is all
	return nil
}
