package agent

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/popbridge/popbridge/config"
)

// imapServers are the servers of all addresses. They implement operations.Clients.
type imapServers struct {
	config func() *config.Config

	mu     sync.Mutex
	byAddr map[string]*imapServer // by configured address
}

func (s *imapServers) all() map[string]*imapServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byAddr)
}

func (s *imapServers) replace(by map[string]*imapServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byAddr = by
}

// Listening returns the addresses that accept mail clients now.
func (s *imapServers) Listening() []string {
	addrs := []string{}
	servers := s.all()
	for _, addr := range append(slices.Clone(s.config().IMAP.Listen), slices.Sorted(maps.Keys(servers))...) { // in the order of the config
		if one := servers[addr]; one != nil {
			if bound, _ := one.bound.Load().(string); bound != "" && !slices.Contains(addrs, bound) {
				addrs = append(addrs, bound)
			}
		}
	}
	return addrs
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
}
