package agent

import (
	"context"
	"net"
	"time"

	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/supervise"
)

// How often the world around the agent is looked at.
const (
	clockEvery   = 10 * time.Second
	networkEvery = 3 // looks at the clock
	probeEvery   = time.Minute
	recoverEvery = 5 * time.Second // probes while a store fails
	purgeEvery   = 60              // probes
)

// clockSlack is how far the clocks may drift apart, or a look may come late,
// without meaning anything.
const clockSlack = 5 * time.Second

// outside is what the agent asks the machine; tests answer themselves.
type outside struct {
	clock   func() reading
	network func() string
}

// reading is what both clocks say: the one of the wall, which may be set, and
// the one that only runs, and on most systems stands still during sleep.
type reading struct {
	wall time.Time
	ran  time.Duration
}

func realOutside() outside {
	began := time.Now()
	return outside{
		clock:   func() reading { return reading{wall: time.Now().Round(0), ran: time.Since(began)} },
		network: route,
	}
}

// route is the addresses that a connection to the internet would come from, ""
// for none. Connecting a UDP socket sends nothing (the addresses are of the
// documentation's, RFC 5737 and RFC 3849), and unlike the list of interfaces
// its answer does not change with every container or virtual machine.
func route() string {
	found := ""
	for _, to := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", to)
		if err != nil {
			continue
		}
		host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
		_ = conn.Close()
		found += host + " "
	}
	return found
}

// vigil notices that the computer slept, that its clock was set, or that it is
// on another network.
type vigil struct {
	outside
	last   reading
	lastAt string // of the network
	looks  int
}

func (o outside) watch() *vigil {
	return &vigil{outside: o, last: o.clock(), lastAt: o.network()}
}

// look returns what happened since the last look, "" for nothing. It is called
// each clockEvery.
func (v *vigil) look() string {
	now := v.clock()
	wall, ran := now.wall.Sub(v.last.wall), now.ran-v.last.ran
	v.last = now
	v.looks++
	reason := ""
	switch {
	case (wall - ran).Abs() > clockSlack:
		reason = "the clock jumped, as it does after sleep"
	case ran > clockEvery+clockSlack:
		reason = "the computer or this program was suspended" // where both clocks go on during sleep
	}
	if reason == "" && v.looks%networkEvery != 0 {
		return ""
	}
	at, before := v.network(), v.lastAt
	v.lastAt = at
	if reason == "" && at != before && at != "" { // to lose it is no reason to poll
		reason = "the network changed"
	}
	return reason
}

// watchOutside makes all accounts poll when they can and should.
func (a *Agent) watchOutside(ctx context.Context) {
	v := a.outside.watch()
	for supervise.Sleep(ctx, clockEvery) {
		if reason := v.look(); reason != "" {
			a.log.Info().Str("reason", reason).Msg("accounts are polled again")
			a.accounts.Resume(reason, func(config.Account) bool { return true })
			a.sending.Resume()
		}
	}
}
