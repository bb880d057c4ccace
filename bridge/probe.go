package bridge

import (
	"context"
	"strings"

	"github.com/popbridge/popbridge/bridge/pop3"
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
	if p.Messages, p.Size, err = s.client.Stat(ctx); err != nil {
		return p, err
	}
	if info, ok := s.client.TLS(); ok {
		p.TLS = &info
	}
	p.Capabilities = strings.Join(s.client.Capabilities().List(), ", ")
	p.Warnings = s.client.Warnings()
	_ = s.client.Quit(s.net) // nothing was deleted that it could confirm
	return p, nil
}
