package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// LAN is where mail clients on other machines of the same network connect:
// nowhere, unless it is enabled.
type LAN struct {
	Enabled bool
	// Listen are "HOST:PORT" with a private address (see Private) or the name of a
	// network interface, which stands for all private addresses that it has at the
	// moment. At least one where Enabled.
	Listen []string
	// SMTPPort is where they hand over what they send, at the same addresses; 0: nowhere.
	SMTPPort int
}

// Private reports whether an address is one of a private network: RFC 1918, or
// RFC 4193 for IPv6. Link-local addresses are none, since a client would have to
// be given the name of an interface with them; and neither are those of a
// provider (RFC 6598), which strangers have as well.
func Private(a netip.Addr) bool { return a.Unmap().IsPrivate() }

// lanSMTPPort is where mail is taken in the local network unless it is said.
const lanSMTPPort = 1465

// lanPort is what documents and hints suggest.
const lanPort = "1993"

func (r *reader) lan(t *table) LAN {
	t.unknown()
	lan := LAN{Enabled: boolean(t, "enabled", false), SMTPPort: lanSMTPPort}
	if port, ok := take[int64](t, "smtp_port", "a whole number without quotes"); ok {
		if lan.SMTPPort = int(port); port < 0 || port > 65535 {
			t.report("smtp_port", &mistake{fmt.Sprintf("%d is not a port (1 to 65535), nor 0 for none", port), fmt.Sprintf("smtp_port = %d is what is used without it", lanSMTPPort)})
		}
	}
	values, ok := take[[]any](t, "listen", lanForm)
	for i, v := range values {
		address, m := "", &mistake{"is " + typeName(v), `must be text in quotes, such as "192.168.1.20:` + lanPort + `"`}
		if s, ok := v.(string); ok {
			address, m = r.readLANListen(s)
		}
		if m == nil && containsAddress(lan.Listen, address) {
			m = &mistake{quote(address) + " is listed twice", "keep one of the two"}
		}
		if m != nil {
			t.reportAt(fmt.Sprintf("%s[%d]", joinKey(t.path, "listen"), i+1), m)
			continue
		}
		lan.Listen = append(lan.Listen, address)
	}
	for _, address := range lan.Listen {
		if _, port, _ := net.SplitHostPort(address); port == strconv.Itoa(lan.SMTPPort) {
			t.report("smtp_port", &mistake{"port " + port + " is that of reading, too", "give each a port of its own"})
			break
		}
	}
	if lan.Enabled && (ok || t.lacks("listen")) && len(values) == 0 {
		t.report("listen", &mistake{"is missing or empty: the addresses of the local network have to be chosen", r.lanHint()})
	}
	return lan
}

const lanForm = `a list of addresses or interfaces: ["192.168.1.20:` + lanPort + `"] or ["eth0:` + lanPort + `"]`

// readLANListen reads an address or interface to listen on in the local network.
func (r *reader) readLANListen(s string) (string, *mistake) {
	form := `write it like "192.168.1.20:` + lanPort + `", "[fd00::20]:` + lanPort + `" or, with the name of an interface, "eth0:` + lanPort + `"`
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return "", &mistake{quote(s) + " is not an address or interface with a port", form}
	case portErr != nil || n == 0: // phones are set up with it, so it cannot be any
		return "", &mistake{fmt.Sprintf("%s is not a port (1 to 65535)", quote(port)), form}
	case host == "" || host == "*":
		return "", &mistake{quote(s) + " stands for all addresses", "name the one of the local network; " + r.lanHint()}
	case isLoopback(host):
		return "", &mistake{quote(s) + " is on the loopback interface", "it belongs below [imap]; " + r.lanHint()}
	}
	port = strconv.FormatUint(n, 10)
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if len(host) > 255 || strings.IndexFunc(host, unicode.IsControl) >= 0 || strings.ContainsAny(host, "/:%") {
			return "", &mistake{quote(host) + " is neither an address nor the name of an interface", form}
		}
		return net.JoinHostPort(host, port), nil
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified():
		return "", &mistake{quote(s) + " stands for all addresses", "name the one of the local network; " + r.lanHint()}
	case addr.IsLinkLocalUnicast():
		return "", &mistake{quote(s) + " is a link-local address, which mail programs cannot be given", r.lanHint()}
	case addr.Zone() != "":
		return "", &mistake{quote(s) + " has a zone behind %, as only link-local addresses have one", "leave it out, or name the interface; " + r.lanHint()}
	case !Private(addr):
		return "", &mistake{quote(s) + " is not an address of a private network (10/8, 172.16/12, 192.168/16, fc00::/7)",
			"popbridge is not made for the internet; " + r.lanHint()}
	}
	return net.JoinHostPort(addr.String(), port), nil
}

// SuggestLAN is a hint with the addresses of this machine that could be chosen.
func SuggestLAN() string { return thisSystem().lanHint() }

func (s system) lanHint() string {
	var known []string
	for _, a := range s.addresses() {
		if Private(a) {
			known = append(known, strconv.Quote(net.JoinHostPort(a.Unmap().String(), lanPort)))
		}
	}
	if len(known) == 0 {
		return "this machine has no private address at the moment; set listen = [\"INTERFACE:" + lanPort + "\"] with the name of its network interface"
	}
	slices.Sort(known)
	return "this machine has: listen = [" + strings.Join(slices.Compact(known), ", ") + "]"
}

// localAddresses are those of this machine; none where the system does not tell.
func localAddresses() (list []netip.Addr) {
	all, _ := net.InterfaceAddrs() // only for hints
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr())
		}
	}
	return list
}
