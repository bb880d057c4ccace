package agent

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
)

// imapServers are the servers of all addresses. They implement operations.Clients.
type imapServers struct {
	config  func() *config.Config
	smtp    *smtpAccess
	lanSMTP *smtpServers

	mu     sync.Mutex
	byAddr map[string]*imapServer // of this machine's mail clients, by configured address
	inLAN  map[string]*imapServer // of the local network, by address
}

func (s *imapServers) all() map[string]*imapServer {
	servers := s.loopback()
	maps.Copy(servers, s.lan())
	return servers
}

func (s *imapServers) loopback() map[string]*imapServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cloned(s.byAddr)
}

func (s *imapServers) lan() map[string]*imapServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cloned(s.inLAN)
}

// cloned is never nil.
func cloned(m map[string]*imapServer) map[string]*imapServer {
	c := map[string]*imapServer{}
	maps.Copy(c, m)
	return c
}

func (s *imapServers) replaceLAN(by map[string]*imapServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inLAN = by
}

func (s *imapServers) replace(by map[string]*imapServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byAddr = by
}

// Listening returns the addresses that accept the mail clients of this machine now.
func (s *imapServers) Listening() []string {
	addrs := []string{}
	servers := s.loopback()
	for _, addr := range append(slices.Clone(s.config().IMAP.Listen), slices.Sorted(maps.Keys(servers))...) { // in the order of the config
		if one := servers[addr]; one != nil {
			if bound := one.at(); bound != "" && !slices.Contains(addrs, bound) {
				addrs = append(addrs, bound)
			}
		}
	}
	return addrs
}

// LAN returns the addresses that accept mail clients of the local network now, and
// which of them have logged in, the first first.
func (s *imapServers) LAN() (listen []string, clients []operations.LANClient) {
	listen, clients = []string{}, []operations.LANClient{}
	servers := s.lan()
	for _, addr := range slices.Sorted(maps.Keys(servers)) {
		one := servers[addr]
		if bound := one.at(); bound != "" {
			listen = append(listen, bound)
		}
		for _, c := range one.srv.Sessions() {
			clients = append(clients, operations.LANClient{User: c.User, Device: c.Device, Address: lan.Remote(c.From).String(), Since: c.Since, Program: c.Program})
		}
	}
	slices.SortFunc(clients, func(a, b operations.LANClient) int { return a.Since.Compare(b.Since) })
	return listen, clients
}

// Count returns how many connections there are, and from which programs.
func (s *imapServers) Count() (n int, programs []string) {
	programs = []string{}
	for _, one := range s.all() {
		n += one.srv.Clients()
		programs = append(programs, one.srv.Programs()...)
	}
	slices.Sort(programs)
	return n, slices.Compact(programs)
}

// Connected returns the connections of a device.
func (s *imapServers) Connected(user, device string) (n int, oldest time.Time, programs []string) {
	programs = []string{}
	for _, one := range s.all() {
		more, since, names := one.srv.Connected(user, device)
		if more > 0 && (n == 0 || since.Before(oldest)) {
			oldest = since
		}
		n += more
		programs = append(programs, names...)
	}
	slices.Sort(programs)
	return n, oldest, slices.Compact(programs)
}

// Disconnect ends the connections of a device.
func (s *imapServers) Disconnect(user, device string) {
	for _, one := range s.all() {
		one.srv.Disconnect(user, device)
	}
	s.smtp.disconnect(user, device)
	s.lanSMTP.disconnect(user, device)
}

// Submission returns the addresses that take what mail clients send now.
func (s *imapServers) Submission() []string { return s.smtp.listening() }
