package agent

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/internal/supervise"
)

// Where the system does not say which addresses there are, phones stay connected.
func TestTheLANStaysWhereAddressesAreNotKnown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Configure(agenttest.Plain+"[lan]\nenabled = true\nlisten = [\"lan0:1993\"]\n", agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	r.Agent = r.Open()
	t.Cleanup(func() { _ = r.Agent.Close() })
	l := r.own().lan
	served := netip.MustParseAddrPort("192.168.1.20:1993")
	l.addrs, l.named = []netip.AddrPort{served}, []netip.Addr{served.Addr()}
	r.own().servers.replaceLAN(map[string]*imapServer{served.String(): {endpoint: endpoint{addr: served.String()}}})
	l.group = &supervise.Group{Context: t.Context()}

	l.interfaces = func() ([]lan.Interface, error) { return nil, errors.New("too many open files") }
	l.look()
	if len(l.addrs) != 1 || len(r.own().servers.lan()) != 1 || r.lanCodes() != "lan-address-missing" {
		t.Errorf("served %v, health %q", l.addrs, r.lanCodes())
	}
	l.interfaces = func() ([]lan.Interface, error) { return nil, nil }
	l.look()
	if len(l.addrs) != 0 || len(r.own().servers.lan()) != 0 {
		t.Errorf("still served without an interface: %v", l.addrs)
	}
}
