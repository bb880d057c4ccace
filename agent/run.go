package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/popbridge/popbridge/agent/control"
	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/supervise"
)

// drainWithin is how long Run waits for what is in flight after its context
// ended: BYE to the clients, the batch that is being stored, QUIT.
const drainWithin = 10 * time.Second

// Run serves until ctx ends, drains and closes the agent. A port that is busy at
// the start is an error, which a person in front of a terminal can end at once.
// Later, and under a service manager, it is a health condition and tried again,
// as is always what else keeps the IMAP server from serving: mail is fetched all
// the same.
func (a *Agent) Run(ctx context.Context) error {
	group, err := a.start(ctx)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	<-ctx.Done()
	a.log.Info().Msg("agent was asked to stop")
	if err := drain(group); err != nil {
		// The stores stay open: what still runs may be writing. The system
		// closes them with the process, and a commit is whole or not there.
		return err
	}
	a.log.Info().Msg("agent stopped")
	return a.Close()
}

func drain(group *supervise.Group) error {
	drained := make(chan struct{})
	go func() { // ends with the group, or with the process
		group.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		return nil
	case <-time.After(drainWithin):
		return fault.New(fault.Internal, "not everything ended within "+drainWithin.String()+" after the stop",
			"no mail is lost: what was not stored yet is fetched again")
	}
}

// start serves everything. Ports come first: the one thing that may be wrong
// at a start and that only a person can put right.
func (a *Agent) start(ctx context.Context) (*supervise.Group, error) {
	a.accounts.Lock() // SIGHUP may come at any time
	defer a.accounts.Unlock()
	cfg := a.Config()
	servers, err := a.openServers(ctx, cfg)
	if err != nil {
		return nil, err
	}
	socket, err := control.Listen(a.first.DataDir)
	if err != nil { // mail flows without; it is tried again
		a.health.Report("control", health.Control(err))
	}
	group := &supervise.Group{Context: ctx}
	a.serving.Store(group)
	a.servers.replace(servers)

	for _, s := range servers {
		s.serve(a, group)
	}
	a.accounts.Serve(group)
	group.Start(func(ctx context.Context) { a.serveControl(ctx, socket) })
	if cfg.Path != "" {
		group.Start(a.watch)
	}
	group.Start(a.watchOutside)
	group.Start(a.keepUp)
	a.sending.Serve(group)
	a.smtp.begin(group)
	a.lan.begin(group)
	a.web.begin(group)
	group.Start(newNotices(a).run)
	addrs := a.servers.Listening()
	a.log.Info().Strs("listen", addrs).Int("accounts", len(cfg.Accounts)).Str("data_dir", a.first.DataDir).Msg("agent started")
	if a.opts.Ready != nil {
		a.opts.Ready(addrs)
	}
	return group, nil
}

func (a *Agent) openServers(ctx context.Context, cfg *config.Config) (map[string]*imapServer, error) {
	servers := map[string]*imapServer{}
	for _, addr := range addresses(ctx, cfg.IMAP.Listen) {
		s := a.newIMAPServer(addr, cfg)
		var err error
		s.listener, err = s.open(ctx)
		switch {
		case err == nil:
			s.bound.Store(s.listener.Addr().String())
		case ctx.Err() != nil, fault.Is(err, fault.Conflict) && !Managed() && slices.Contains(cfg.IMAP.Listen, addr):
			closeServers(servers)
			return nil, err
		default:
			a.health.Report(s.name, s.failed(err)...)
		}
		servers[addr] = s
	}
	return servers, nil
}

func closeServers(servers map[string]*imapServer) {
	for _, s := range servers {
		if s.listener != nil {
			_ = s.listener.Close() // nothing was accepted yet
		}
	}
}

// serveControl answers commands.
func (a *Agent) serveControl(ctx context.Context, ln net.Listener) {
	log := a.opts.Log.With().Str("component", "control").Logger()
	supervise.Run(ctx, func(ctx context.Context) error {
		if ln == nil {
			var err error
			if ln, err = control.Listen(a.first.DataDir); err != nil {
				return err
			}
		}
		current := ln
		ln = nil
		a.health.Report("control")
		return control.Serve(ctx, current, a.ops, log)
	}, func(err error) { a.health.Report("control", health.Control(err)) }, nil)
}

// watch takes up the config file whenever it changes.
func (a *Agent) watch(ctx context.Context) {
	supervise.Run(ctx, func(ctx context.Context) error {
		return config.Watch(ctx, a.Config().Path, a.Reload)
	}, func(err error) { a.health.Report("config watch", health.ConfigWatch(err)) }, nil)
}
