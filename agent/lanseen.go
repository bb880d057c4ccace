package agent

import (
	"net/netip"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/localimap"
)

const (
	// lanFile remembers the addresses of devices. Without it they are new once more.
	lanFile = "lan-devices.json"
	// setUpWithin is how soon after it was made, or permitted, the first login of a
	// device is expected.
	setUpWithin = time.Hour
)

// saw notes where a device has logged in. A new device, and a new address of one, is
// told to people, unless it is the one that they set up at this moment.
func (l *lanAccess) saw(who localimap.Account, from netip.Addr) {
	a, now := l.agent, time.Now()
	l.seenMu.Lock()
	permitted, known := l.permitted[who.User+"/"+who.Device.Name]
	l.seenMu.Unlock()
	expected := now.Sub(who.Device.CreatedAt) < setUpWithin || known && now.Sub(permitted) < setUpWithin
	one, isNew, err := l.seen.Note(who.Store.ID(), who.User, who.Device.Name, from, now, expected)
	if err != nil {
		a.log.Warn().Err(err).Msg("the address of a device could not be noted; it will be new once more")
	}
	if isNew {
		a.log.Info().Str("user", one.User).Str("device", one.Device).Stringer("remote", from).Bool("first", one.First).
			Msg("device has logged in from a new address in the local network")
		l.tellNews()
	}
}

// tellNews reports what is news as conditions, and ends those that are none any more.
func (l *lanAccess) tellNews() {
	a := l.agent
	l.seenMu.Lock()
	defer l.seenMu.Unlock()
	told := map[string]bool{}
	for _, o := range l.seen.News(time.Now()) {
		source := "LAN device " + o.User + "/" + o.Device + " at " + o.Address
		told[source] = true
		a.health.Report(source, health.LANNewDevice(o.User, o.Device, o.Address, o.FirstAt.In(a.zone.Load()).Format("2 Jan at 15:04"), o.First,
			a.users.Command("device revoke "+o.Device+" --user "+o.User)))
	}
	for source := range l.told {
		if !told[source] {
			a.health.Report(source)
		}
	}
	l.told = told
}

// Permitted is told of a device that may come from the local network from now on: by
// the person at this machine, who is trusted more than what was guessed.
func (l *lanAccess) Permitted(user, device string) {
	l.peers.Forgive()
	l.refusals.forgive()
	l.agent.health.Report(refusedDevice(user, device))
	l.seenMu.Lock()
	defer l.seenMu.Unlock()
	l.permitted[user+"/"+device] = time.Now()
}

// Removed is told of a device that was revoked, or may not come any more.
func (l *lanAccess) Removed(user, device string) {
	l.agent.health.Report(refusedDevice(user, device))
	l.mu.Lock()
	if l.pageOf == user+"/"+device {
		l.page.Stop()
	}
	l.mu.Unlock()
	if err := l.seen.Forget(user, device); err != nil {
		l.agent.log.Warn().Err(err).Msg("the addresses of a device could not be forgotten")
	}
	l.seenMu.Lock()
	delete(l.permitted, user+"/"+device)
	l.seenMu.Unlock()
	l.tellNews()
}

// refusedDevice is the source of the condition that a device was refused.
func refusedDevice(user, device string) string { return "LAN device " + user + "/" + device }
