// Package lan decides who in the local network may speak with the agent, and how
// often. The servers themselves are in package agent.
//
//	addresses.go   where to listen: the addresses and interfaces of the config, as they are now
//	peers.go       the other addresses: limits of connections and guesses, bans
//	listener.go    what Peers refuse is closed before a byte is read
//	seen.go        from which addresses devices have come: who is new
//	page.go        the page that sets a phone up
//
// Invariants: an address outside of private networks never gets an answer. What is
// kept of the addresses is bounded, whatever they send. Nothing here is shared with
// the servers of the loopback addresses.
package lan

import (
	"net"
	"net/netip"
)

// Remote returns the address of the other end, invalid where it is none of IP.
func Remote(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
