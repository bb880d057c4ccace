package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/internal/mailstore"
	"github.com/popbridge/popbridge/localimap"
)

// login is how mail clients of the local network get in: by the generated password of
// a device that is permitted to. Nothing else is told apart, by text or time.
func (l *lanAccess) login(ctx context.Context, remote net.Addr, name, given string) (localimap.Account, error) {
	a, from := l.agent, lan.Remote(remote)
	if l.peers.Banned(from) {
		return localimap.Account{}, errRefused
	}
	may := func(user string, d mailstore.Device) bool {
		if d.LAN && d.Generated {
			return true
		}
		a.health.Report(refusedDevice(user, d.Name), health.LANNotPermitted(user, d.Name, from.String(), d.Generated,
			a.users.Command("device set "+d.Name+" --lan"), a.users.Command("device add NAME --user "+user+" --lan")))
		return false
	}
	who, err := a.authenticate(ctx, name, given, may, l.guard, func(hash func() error) error {
		return l.peers.Guess(ctx, from, func() error { return l.guard.try(ctx, a.userNamed(name), hash) })
	}, from.String())
	if errors.Is(err, lan.ErrBanned) {
		return localimap.Account{}, errRefused
	}
	if err != nil {
		return localimap.Account{}, err
	}
	a.health.Report(refusedDevice(who.User, who.Device.Name))
	l.peers.Right(from)
	l.saw(who, from)
	return who, nil
}

// refusedLogin tells people of refused logins of the local network.
func (l *lanAccess) refusedLogin(r refusals) {
	a := l.agent
	if r.log > 0 {
		a.log.Warn().Str("user", r.name).Str("remote", r.from).Int("count", r.log).Msg("IMAP login from the local network refused")
	}
	source := "LAN logins of user " + r.user
	if r.user == "" {
		source = "LAN logins of unknown users"
	}
	if r.n == 0 {
		a.health.Report(source)
		return
	}
	last := r.last.In(a.zone.Load()).Format("2 Jan at 15:04")
	a.health.Report(source, health.LANLoginRefused(r.name, r.from, r.n, last, a.users.Command("device add NAME --lan")))
}

// banned tells people that an address guesses passwords.
func (l *lanAccess) banned(from netip.Addr, d time.Duration) {
	l.agent.log.Warn().Stringer("remote", from).Stringer("for", d).Msg("an address of the local network was banned: too many wrong passwords")
	l.refusals.noteBan(from, d)
}

// expire ends what is over: called now and then.
func (l *lanAccess) expire() {
	l.guard.expire()
	l.refusals.expire()
	l.tellNews()
}

// refusedPeers tells people of connections that were refused: in the log, at most one
// line each refusalsLogged for each reason, and as a condition for refusalsShown.
type refusedPeers struct {
	access *lanAccess

	mu     sync.Mutex
	sums   map[lan.Refusal]*refusedSum
	banAt  time.Time
	banned string // the address that was banned last
}

type refusedSum struct {
	n, unlogged      int
	lastAt, loggedAt time.Time
}

func (r *refusedPeers) note(from netip.Addr, why lan.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sums == nil {
		r.sums = map[lan.Refusal]*refusedSum{}
	}
	s := r.sums[why]
	if s == nil {
		s = &refusedSum{}
		r.sums[why] = s
	}
	now := time.Now()
	s.n++
	s.unlogged++
	s.lastAt = now
	if now.Sub(s.loggedAt) < refusalsLogged {
		return
	}
	r.access.agent.log.Warn().Stringer("remote", from).Int("count", s.unlogged).Msg(string(why))
	s.unlogged, s.loggedAt = 0, now
	if why != lan.Banned { // of which there is a condition
		r.access.agent.health.Report("LAN connections: "+string(why), health.LANRefused(string(why), from.String(), s.n))
	}
}

func (r *refusedPeers) noteBan(from netip.Addr, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.banAt, r.banned = time.Now().Add(d), from.String()
	r.access.agent.health.Report("LAN bans", health.LANBanned(from.String(), roughly(d), r.access.agent.users.Command("device list")))
}

// forgive ends the condition of bans.
func (r *refusedPeers) forgive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.banned = ""
	r.access.agent.health.Report("LAN bans")
}

func (r *refusedPeers) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for why, s := range r.sums {
		if now.Sub(s.lastAt) >= refusalsShown {
			delete(r.sums, why)
			r.access.agent.health.Report("LAN connections: " + string(why))
		}
	}
	if r.banned != "" && now.Sub(r.banAt) >= refusalsShown {
		r.banned = ""
		r.access.agent.health.Report("LAN bans")
	}
}

func roughly(d time.Duration) string {
	if d < time.Hour {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}
