package agent

import (
	"context"
	"net"
	"slices"
	"sync"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge/submission"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/supervise"
)

// smtpAccess takes what the mail programs of this machine send.
type smtpAccess struct {
	agent *Agent

	smtpServers

	mu     sync.Mutex       // held by look
	group  *supervise.Group // nil unless Run is under way
	before config.SMTP      // as it was taken up last
}

// smtpServers are those of this machine, or of the local network.
type smtpServers struct {
	served sync.Mutex // guards list
	list   []*smtpServer
}

// An smtpServer serves submission on one address.
type smtpServer struct {
	endpoint
	srv *submission.Server
}

func (s *smtpAccess) begin(group *supervise.Group) {
	s.mu.Lock()
	s.group = group
	s.mu.Unlock()
	s.look()
}

// look serves where the config says so. What cannot be had is a condition, and tried
// again.
func (s *smtpAccess) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.agent.Config().SMTP
	if s.group == nil || s.group.Context.Err() != nil {
		return
	}
	var wanted []string
	if s.agent.sending.Any() {
		wanted = addresses(s.group.Context, cfg.Listen)
	}
	if cfg.TLS != s.before.TLS {
		s.replace(s.agent, s.group, nil, nil)
	}
	s.before = cfg
	s.replace(s.agent, s.group, wanted, func(addr string) *smtpServer { return s.newServer(addr, cfg) })
}

// replace ends the servers of addresses that are not wanted any more, and begins those
// that are new.
func (s *smtpServers) replace(a *Agent, group *supervise.Group, wanted []string, make func(addr string) *smtpServer) {
	var keep []*smtpServer
	var wg sync.WaitGroup
	for _, one := range s.servers() {
		if slices.Contains(wanted, one.addr) {
			keep = append(keep, one)
			continue
		}
		wg.Go(func() {
			one.task.Stop()
			a.health.Report(one.name)
		})
	}
	wg.Wait()
	var begin []*smtpServer
	for _, addr := range wanted {
		if !slices.ContainsFunc(keep, func(one *smtpServer) bool { return one.addr == addr }) {
			begin = append(begin, make(addr))
		}
	}
	s.served.Lock()
	s.list = append(keep, begin...)
	s.served.Unlock()
	for _, one := range begin {
		one.serve(a, group)
	}
}

func (s *smtpAccess) newServer(addr string, cfg config.SMTP) *smtpServer {
	a := s.agent
	o := a.submission(s.login, securityOf(cfg.TLS))
	if cfg.TLS != config.Off {
		o.TLS = a.tls.server()
	}
	srv := submission.New(o)
	return &smtpServer{endpoint{addr: addr, name: "smtp " + addr, open: a.opening("smtp", addr, o.TLS), run: srv.Serve, failed: health.SMTP}, srv}
}

func (a *Agent) submission(login func(context.Context, net.Addr, string, string) (submission.Account, error), security serving.Security) submission.Options {
	return submission.Options{Login: login, Security: security, MaxSize: a.sending.MaxSize, UTF8: a.sending.UTF8, DSN: a.sending.DSN,
		Log: a.opts.Log.With().Str("component", "submission").Logger()}
}

// login lets in who may read mail here, by the same passwords.
func (s *smtpAccess) login(ctx context.Context, from net.Addr, name, password string) (submission.Account, error) {
	who, err := s.agent.login(ctx, from, name, password)
	if err != nil {
		return submission.Account{}, err
	}
	return s.agent.sending.Account(who.User, who.Device, who.Store), nil
}

func (s *smtpServers) servers() []*smtpServer {
	s.served.Lock()
	defer s.served.Unlock()
	return slices.Clone(s.list)
}

// listening returns the addresses that take mail now.
func (s *smtpServers) listening() []string {
	list := []string{}
	for _, one := range s.servers() {
		if at := one.at(); at != "" {
			list = append(list, at)
		}
	}
	return list
}

// disconnect ends the sessions of a device.
func (s *smtpServers) disconnect(user, device string) {
	for _, one := range s.servers() {
		one.srv.Disconnect(user, device)
	}
}
