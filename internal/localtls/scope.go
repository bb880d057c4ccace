package localtls

import (
	"crypto/x509"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Scope is whom an authority may speak for: names, and the addresses of networks
// of which the server's certificate has those that the server has now. What an
// authority was made with stays with it.
type Scope struct {
	title     string   // what people see in a list of authorities
	names     []string // at least one, or it could speak for all names
	networks  []*net.IPNet
	addresses []net.IP // within networks
}

// Loopback is this machine as its own programs see it: localhost, its host name,
// the loopback addresses.
func Loopback() Scope { return loopback(hostname()) }

// OwnNames are the names for which an authority of Loopback may speak if it is made now.
func OwnNames() []string { return Loopback().names }

func loopback(host string) Scope {
	own := hostNames(host)
	return Scope{
		title:     title("popbridge local CA", own),
		names:     append([]string{"localhost"}, own...),
		networks:  networks("127.0.0.0/8", "::1/128"),
		addresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
}

// noName is permitted where a machine has no name of its own. It is no one's (RFC
// 6761 section 6.4).
const noName = "popbridge.invalid"

// LAN is this machine as other devices of the network at home see it: its host
// name, and private addresses only (RFC 1918, RFC 4193, link-local); those of
// addresses that are not private are left out. Devices that trust its authority do
// not trust that of Loopback, nor the reverse.
func LAN(addresses []net.IP) Scope { return lan(hostname(), addresses) }

func lan(host string, addresses []net.IP) Scope {
	s := Scope{names: hostNames(host),
		networks: networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")}
	s.title = title("popbridge LAN CA", s.names)
	if len(s.names) == 0 {
		s.names = []string{noName}
	}
	for _, ip := range addresses {
		if slices.ContainsFunc(s.networks, func(n *net.IPNet) bool { return n.Contains(ip) }) {
			s.addresses = append(s.addresses, ip)
		}
	}
	return s
}

// hostname may be empty: addresses are enough.
func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return host
}

// within reports whether a certificate has all addresses of the scope.
func (s Scope) within(c *x509.Certificate) bool {
	return !slices.ContainsFunc(s.addresses, func(ip net.IP) bool { return !slices.ContainsFunc(c.IPAddresses, ip.Equal) })
}

// title tells several machines in one keychain apart.
func title(what string, names []string) string {
	if len(names) == 0 {
		return what
	}
	return what + " of " + names[0]
}

// networks returns the ranges of constants.
func networks(cidr ...string) []*net.IPNet {
	all := make([]*net.IPNet, len(cidr))
	for i, c := range cidr {
		var err error
		if _, all[i], err = net.ParseCIDR(c); err != nil {
			panic(err)
		}
	}
	return all
}

// hostNames returns the names of this machine, its own and that in the network at
// home, where it has one that certificates can hold.
func hostNames(host string) []string {
	names := []string{}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	first, _, _ := strings.Cut(host, ".")
	for _, name := range []string{host, first + ".local"} {
		if validName(name) && !SharedName(name) && name != "localhost" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func validName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' && strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
		}) < 0
		if !ok {
			return false
		}
	}
	return len(name) <= 253 && net.ParseIP(name) == nil
}

// SharedName reports whether strangers have names below this one: on a machine
// that is called "dev", the authority must not speak for all of .dev. The empty
// name is above all others.
func SharedName(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return name == "" || name == "local" || suffix == name && (icann || strings.Contains(suffix, "."))
}
