package lan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	addrs := func(all string) (list []netip.Addr) {
		for a := range strings.FieldsSeq(all) {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	interfaces := []Interface{
		{Name: "lo", Addrs: addrs("127.0.0.1 ::1")},
		{Name: "eth0", Addrs: addrs("192.168.1.20 203.0.113.5 fe80::1 fd00::20 2001:db8::20")},
		{Name: "Ethernet 2", Addrs: addrs("10.0.0.2")},
		{Name: "wlan0"},
		{Name: "Café", Addrs: addrs("192.168.1.99 10.0.0.2"), Public: true},
		{Name: "ppp0", Addrs: addrs("203.0.113.9")},
	}
	for listen, want := range map[string]string{
		"192.168.1.20:1993":              "[192.168.1.20:1993] [] []",
		"[fd00::20]:1993":                "[[fd00::20]:1993] [] []",
		"eth0:1993":                      "[192.168.1.20:1993 [fd00::20]:1993] [] []",
		"eth0:1993,192.168.1.20:1993":    "[192.168.1.20:1993 [fd00::20]:1993] [] []",
		"192.168.1.20:1993,eth0:2993":    "[192.168.1.20:1993 192.168.1.20:2993 [fd00::20]:2993] [] []",
		"Ethernet 2:1993":                "[10.0.0.2:1993] [] []",
		"192.168.1.21:1993,eth0:1993":    "[192.168.1.20:1993 [fd00::20]:1993] [192.168.1.21:1993] []",
		"wlan0:1993,ppp0:1993,none:1993": "[] [wlan0:1993 ppp0:1993 none:1993] []",
		"Café:1993,192.168.1.99:1993":    "[] [] [Café:1993 192.168.1.99:1993]",
		"10.0.0.2:1993":                  "[10.0.0.2:1993] [] []", // which another interface has as well
		"lo:1993":                        "[] [lo:1993] []",
	} {
		found, missing, public := Resolve(strings.Split(listen, ","), interfaces)
		if got := fmt.Sprint(found, missing, public); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}

func TestTheInterfacesOfThisMachine(t *testing.T) {
	list, err := Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, i := range list {
		if i.Name == "" {
			t.Errorf("%+v", i)
		}
	}
}
