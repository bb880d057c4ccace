package agent

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/lan"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/internal/fault"
)

const generated = "aaaa-bbbb-cccc-dddd-eeee"

// lanRig is an agent that does nothing by itself, with a device that may come from the
// local network and one that may not.
func newLANRig(t *testing.T) *rig {
	r := newRig(t)
	r.Configure("notices = true\n"+agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1})
	r.Agent = r.Open()
	t.Cleanup(func() { _ = r.Agent.Close() })
	r.device(operations.AddDevice{User: "ann", Name: "phone", Password: generated, Generated: true, LAN: true})
	r.device(operations.AddDevice{User: "ann", Name: "pc", Password: "pc-" + generated, Generated: true})
	return r
}

func (r *rig) device(d operations.AddDevice) {
	r.t.Helper()
	if _, err := r.Ops().AddDevice(r.t.Context(), d); err != nil {
		r.t.Fatal(err)
	}
}

// from logs in from an address of the local network.
func (r *rig) from(address, password string) error {
	r.t.Helper()
	who, err := r.own().lan.login(r.t.Context(), &net.TCPAddr{IP: net.ParseIP(address), Port: 50000}, "ann", password)
	if err == nil && !who.Device.LAN {
		r.t.Errorf("%+v was let in", who.Device)
	}
	return err
}

// lanCodes are the conditions of the local network, in the order of the alphabet.
func (r *rig) lanCodes() string {
	var codes []string
	for _, c := range r.own().health.List() {
		if strings.HasPrefix(c.Code, "lan-") {
			codes = append(codes, c.Code)
		}
	}
	slices.Sort(codes)
	return strings.Join(codes, " ")
}

// Who may not come from the local network gets the same answer as with a wrong
// password, also once the password is known; the owner is told the difference.
func TestDevicesOfTheLAN(t *testing.T) {
	t.Parallel()
	r := newLANRig(t)
	if err := r.from("192.168.1.30", generated); err != nil {
		t.Fatal(err)
	}
	if _, err := r.own().login(t.Context(), nil, "ann", "pc-"+generated); err != nil { // from this machine
		t.Fatal(err)
	}
	for _, password := range []string{"wrong", "pc-" + generated} {
		if err := r.from("192.168.1.31", password); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", password, err)
		}
	}
	if got := r.lanCodes(); got != "lan-device-refused lan-login-refused" {
		t.Errorf("health %q", got)
	}
	if c := r.Condition("lan-device-refused"); !strings.Contains(c.Text, "192.168.1.31") || !strings.Contains(c.Hint, "device set pc --lan") {
		t.Errorf("%+v", c)
	}
	yes := true
	if _, err := r.Ops().SetDevice(t.Context(), operations.SetDevice{Name: "pc", LAN: &yes}); err != nil {
		t.Fatal(err)
	}
	if err := r.from("192.168.1.31", "pc-"+generated); err != nil {
		t.Error(err)
	}
	if got := r.lanCodes(); got != "" {
		t.Errorf("health after that: %q", got)
	}
}

// A banned address is refused with the right password, and nothing is hashed. What
// happens on this machine ends it, and is never in the way.
func TestABannedAddress(t *testing.T) {
	t.Parallel()
	r := newLANRig(t)
	l := r.own().lan
	phone := netip.MustParseAddr("192.168.1.30")
	l.peers.FirstWait = 0 // or this took a minute
	for !l.peers.Banned(phone) {
		if err := r.from("192.168.1.30", "wrong"); !errors.Is(err, errRefused) {
			t.Fatal(err)
		}
	}
	if err := r.from("192.168.1.30", generated); !errors.Is(err, errRefused) {
		t.Errorf("let in: %v", err)
	}
	if c := r.Condition("lan-address-banned"); !strings.Contains(c.Text, "192.168.1.30") || !strings.Contains(c.Text, "10 minutes") {
		t.Errorf("%+v", c)
	}
	if err := r.from("192.168.1.31", generated); err != nil {
		t.Errorf("a neighbour: %v", err)
	}
	if _, err := r.own().login(t.Context(), nil, "ann", generated); err != nil {
		t.Errorf("on this machine: %v", err)
	}
	yes := true
	if _, err := r.Ops().SetDevice(t.Context(), operations.SetDevice{Name: "phone", ReadOnly: &yes}); err != nil || !l.peers.Banned(phone) {
		t.Errorf("a change that is not about the local network ended the ban: %v", err)
	}
	r.device(operations.AddDevice{User: "ann", Name: "new", Password: "new-" + generated, Generated: true, LAN: true})
	if err := r.from("192.168.1.30", "new-"+generated); err != nil {
		t.Errorf("after a person made a login: %v", err)
	}
	if got := r.lanCodes(); got != "" {
		t.Errorf("health %q", got)
	}
}

// A device that is used from another address is announced in INBOX, once; what a
// person sets up is not.
func TestANewAddressIsAnnounced(t *testing.T) {
	t.Parallel()
	r := newLANRig(t)
	n := r.notices()
	inbox := func() int {
		t.Helper()
		if err := n.look(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		_, box := r.annsInbox()
		return int(box.Messages)
	}
	for range 2 {
		if err := r.from("192.168.1.30", generated); err != nil {
			t.Fatal(err)
		}
	}
	if got, messages := r.lanCodes(), inbox(); got != "" || messages != 0 {
		t.Errorf("health %q, %d messages", got, messages)
	}
	for range 2 {
		if err := r.from("fd00::1", generated); err != nil {
			t.Fatal(err)
		}
	}
	if got, messages := r.lanCodes(), inbox(); got != "lan-new-device" || messages != 1 {
		t.Errorf("health %q, %d messages", got, messages)
	}
	// The next run knows it.
	seen, err := lan.OpenSeen(filepath.Join(r.Dir, "data", lanFile))
	if err != nil || len(seen.News(time.Now())) != 1 {
		t.Errorf("%v, %v", seen.News(time.Now()), err)
	}
	if err := r.Ops().RevokeDevice(t.Context(), "ann", "phone"); err != nil {
		t.Fatal(err)
	}
	if got := r.lanCodes(); got != "" {
		t.Errorf("health %q", got)
	}
}

// Without a running agent, or without an address, there is no page, and it is said why.
func TestNoPage(t *testing.T) {
	t.Parallel()
	r := newLANRig(t)
	_, err := r.Ops().Pair(t.Context(), operations.Pair{User: "ann", Device: "phone"})
	if !fault.Is(err, fault.Temporary) || !strings.Contains(fault.Hint(err), "device set phone --lan") {
		t.Errorf("%v; %s", err, fault.Hint(err))
	}
	if _, err := r.Ops().Pair(t.Context(), operations.Pair{User: "ann", Device: "pc"}); !fault.Is(err, fault.Denied) {
		t.Errorf("a device without permission: %v", err)
	}
	if _, err := r.Ops().Pair(t.Context(), operations.Pair{Device: "none"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no device: %v", err)
	}
}
