package agent

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/bridge/submission"
	"github.com/popbridge/popbridge/internal/localtls"
	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/supervise"
	"github.com/popbridge/popbridge/localimap"
)

// lanEvery is how often the addresses of this machine are looked at: a phone that
// comes home finds the server again soon after the machine has.
const lanEvery = 5 * time.Second

// lanAccess is what other machines of the local network can reach. All of it is its
// own, so that the network cannot get in the way of the mail clients of this
// machine: servers with their limits, the authority, the guard.
type lanAccess struct {
	agent *Agent
	tls   *localTLS
	guard *guard
	peers *lan.Peers

	interfaces func() ([]lan.Interface, error) // of this machine
	smtp       smtpServers

	mu     sync.Mutex       // held by look and Pair
	addrs  []netip.AddrPort // that are served
	named  []netip.Addr     // that the certificate has
	group  *supervise.Group // nil unless Run is under way
	page   *supervise.Task  // that sets a phone up; nil before the first
	pageAt netip.AddrPort   // the IMAP server that it is about
	pageOf string           // the login, USER/DEVICE

	refusals refusedPeers
	seen     *lan.Seen

	seenMu    sync.Mutex           // guards the fields below
	permitted map[string]time.Time // when a device was, in this run, by USER/DEVICE
	told      map[string]bool      // the sources of the conditions of new devices
}

func newLANAccess(a *Agent) *lanAccess {
	l := &lanAccess{agent: a, tls: &localTLS{dir: filepath.Join(a.first.DataDir, "tls", "lan")}, interfaces: lan.Interfaces, permitted: map[string]time.Time{}}
	var err error
	if l.seen, err = lan.OpenSeen(filepath.Join(a.first.DataDir, lanFile)); err != nil {
		a.log.Warn().Err(err).Msg("from which addresses devices have come is not known; they are new once more")
	}
	l.guard = newGuard(l.refusedLogin)
	l.peers = lan.NewPeers(l.banned)
	l.refusals.access = l
	return l
}

// begin serves the local network where the config says so, and follows the addresses
// of this machine.
func (l *lanAccess) begin(group *supervise.Group) {
	l.mu.Lock()
	l.group = group
	l.mu.Unlock()
	l.look()
	l.tellNews()
	group.Start(func(ctx context.Context) {
		for supervise.Sleep(ctx, lanEvery) {
			l.look()
		}
	})
}

// look begins and ends servers as the config and the addresses of this machine want
// it. What cannot be had is a condition, and looked for again.
func (l *lanAccess) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.group == nil || l.group.Context.Err() != nil {
		return
	}
	var wanted []netip.AddrPort
	var conditions []health.Condition
	if cfg := l.agent.Config().LAN; cfg.Enabled {
		var missing, public []string
		interfaces, err := l.interfaces()
		wanted = l.addrs // what is served stays where it is not known what there is
		if err == nil {
			wanted, missing, public = lan.Resolve(cfg.Listen, interfaces)
		}
		if len(missing) > 0 || err != nil {
			conditions = append(conditions, health.LANMissing(missing, err))
		}
		if len(public) > 0 {
			conditions = append(conditions, health.LANPublic(public))
		}
		if err := l.certify(wanted); err != nil {
			conditions = append(conditions, health.LAN(err))
			wanted = l.addrs // with the certificate that there is
		}
	}
	l.agent.health.Report("lan", conditions...)
	if !slices.Equal(wanted, l.addrs) {
		if !slices.Contains(wanted, l.pageAt) {
			l.page.Stop()
		}
		l.replace(wanted)
		l.addrs = wanted
	}
	l.smtp.replace(l.agent, l.group, l.smtpWanted(), l.newSMTPServer)
}

// smtpWanted are the addresses that take what is sent: at those that are served, where any
// account can send.
func (l *lanAccess) smtpWanted() (wanted []string) {
	port := l.agent.Config().LAN.SMTPPort
	if port == 0 || len(l.addrs) == 0 || !l.agent.sending.Any() {
		return nil
	}
	for _, a := range l.addrs {
		if addr := netip.AddrPortFrom(a.Addr(), uint16(port)).String(); !slices.Contains(wanted, addr) {
			wanted = append(wanted, addr)
		}
	}
	return wanted
}

// certify issues the certificate for addresses, before anyone connects to them.
func (l *lanAccess) certify(wanted []netip.AddrPort) error {
	var ips []net.IP
	var named []netip.Addr
	for _, a := range wanted {
		if !slices.Contains(named, a.Addr()) {
			named = append(named, a.Addr())
			ips = append(ips, a.Addr().AsSlice())
		}
	}
	if len(named) == 0 || slices.Equal(named, l.named) {
		return nil
	}
	if err := l.tls.issue(localtls.LAN(ips)); err != nil {
		return err
	}
	l.named = named
	return nil
}

// replace ends the servers of addresses that are not wanted any more, and begins
// those that are new.
func (l *lanAccess) replace(wanted []netip.AddrPort) {
	servers := l.agent.servers.lan()
	var wg sync.WaitGroup
	for addr, s := range servers {
		if !slices.ContainsFunc(wanted, func(a netip.AddrPort) bool { return a.String() == addr }) {
			delete(servers, addr)
			wg.Go(func() {
				s.task.Stop()
				l.agent.health.Report(s.name)
			})
		}
	}
	wg.Wait()
	var begin []*imapServer
	for _, a := range wanted {
		if servers[a.String()] == nil {
			s := l.newServer(a.String())
			servers[a.String()] = s
			begin = append(begin, s)
		}
	}
	l.agent.servers.replaceLAN(servers) // before anyone connects: whom a device has can be told
	for _, s := range begin {
		s.serve(l.agent, l.group)
	}
	now := []string{}
	for _, a := range wanted {
		now = append(now, a.String())
	}
	l.agent.log.Info().Strs("listen", now).Msg("addresses of the local network have changed")
}

// State returns what is served, and who has logged in.
func (l *lanAccess) State() (s operations.LAN) {
	s.Listen, s.Clients = l.agent.servers.LAN()
	s.SMTP = l.smtp.listening()
	return s
}

// newServer makes the server of one address.
func (l *lanAccess) newServer(addr string) *imapServer {
	a := l.agent
	srv := localimap.New(localimap.Options{Login: l.login, Opened: a.accounts.Wake, Crowded: a.crowded(addr), Zone: a.zone.Load, Alert: a.alerts.alert,
		Security: serving.Implicit, TLS: l.tls.server(), Log: a.opts.Log.With().Str("component", "imap").Str("listen", addr).Logger()})
	return &imapServer{l.endpoint("lan", addr, srv.Serve), srv}
}

// newSMTPServer makes the server of one address that takes what is sent. Who may connect,
// and who gets in, is as with IMAP.
func (l *lanAccess) newSMTPServer(addr string) *smtpServer {
	a := l.agent
	o := a.submission(func(ctx context.Context, from net.Addr, name, password string) (submission.Account, error) {
		who, err := l.login(ctx, from, name, password)
		if err != nil {
			return submission.Account{}, err
		}
		return a.sending.Account(who.User, who.Device, who.Store), nil
	}, serving.Implicit)
	o.TLS, o.Log = l.tls.server(), o.Log.With().Str("listen", addr).Logger()
	srv := submission.New(o)
	return &smtpServer{l.endpoint("lan-smtp", addr, srv.Serve), srv}
}

// endpoint is an address of the local network. Only its machines connect to it.
func (l *lanAccess) endpoint(table, addr string, run func(context.Context, net.Listener) error) endpoint {
	open := func(ctx context.Context) (net.Listener, error) {
		ln, err := listen(ctx, table, addr)
		if err != nil {
			return nil, err
		}
		return &lan.Listener{Listener: ln, Peers: l.peers, Refused: l.refusals.note}, nil
	}
	failed := func(err error) []health.Condition { return []health.Condition{health.LAN(err)} }
	return endpoint{addr: addr, name: table + " " + addr, open: open, run: run, failed: failed}
}
