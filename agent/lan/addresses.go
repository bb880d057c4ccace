package lan

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/popbridge/popbridge/config"
)

// An Interface is a network interface of this machine that is up.
type Interface struct {
	Name  string
	Addrs []netip.Addr
	// Public tells that its network is marked as one of strangers, which only Windows has:
	// nothing is served there.
	Public bool
}

// Interfaces returns those of this machine.
func Interfaces() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	public, _ := publicInterfaces() // where that is not known, none is
	var list []Interface
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		one := Interface{Name: i.Name, Public: public[i.Index]}
		addrs, _ := i.Addrs() // one that has just gone has none
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				one.Addrs = append(one.Addrs, p.Addr().Unmap())
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// Resolve returns the addresses that a list as config.LAN has it stands for at the
// moment, each once, and the items of the list that stand for none, or only for addresses
// in public networks.
func Resolve(listen []string, interfaces []Interface) (addrs []netip.AddrPort, missing, public []string) {
	for _, item := range listen {
		host, p, _ := net.SplitHostPort(item) // the config was checked
		port, _ := strconv.ParseUint(p, 10, 16)
		before := len(addrs)
		found, hidden := false, false
		for _, i := range interfaces {
			for _, a := range i.Addrs {
				if !config.Private(a) || host != i.Name && host != a.String() {
					continue
				}
				if i.Public {
					hidden = true
					continue
				}
				found = true
				if one := netip.AddrPortFrom(a, uint16(port)); !slices.Contains(addrs[:before], one) {
					addrs = append(addrs, one)
				}
			}
		}
		switch {
		case found:
		case hidden:
			public = append(public, item)
		default:
			missing = append(missing, item)
		}
	}
	return addrs, missing, public
}
