package lan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	phone  = netip.MustParseAddr("192.168.1.30")
	errBad = fault.New(fault.Auth, "wrong", "")
)

func newTestPeers() (*Peers, *[]time.Duration) {
	var bans []time.Duration
	return NewPeers(func(_ netip.Addr, d time.Duration) { bans = append(bans, d) }), &bans
}

func wrong() error { return errBad }

func TestPrivateAddressesOnly(t *testing.T) {
	p, _ := newTestPeers()
	for address, want := range map[string]Refusal{
		"10.0.0.1": accepted, "172.16.0.1": accepted, "172.31.255.255": accepted, "192.168.0.1": accepted, "fd00::1": accepted, "fc00::1": accepted, "::ffff:10.0.0.1": accepted,
		"9.255.255.255": Foreign, "11.0.0.0": Foreign, "172.15.255.255": Foreign, "172.32.0.0": Foreign, "192.167.255.255": Foreign, "192.169.0.0": Foreign,
		"127.0.0.1": Foreign, "::1": Foreign, "0.0.0.0": Foreign, "::": Foreign, "169.254.1.1": Foreign, "fe80::1": Foreign, "100.64.0.1": Foreign,
		"203.0.113.1": Foreign, "8.8.8.8": Foreign, "2001:db8::1": Foreign, "::ffff:8.8.8.8": Foreign, "fe00::": Foreign, "fbff::": Foreign, "224.0.0.1": Foreign, "255.255.255.255": Foreign,
	} {
		if got := p.Open(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := p.Open(netip.Addr{}); got != Foreign {
		t.Errorf("no address: %q", got)
	}
}

// What a person mistypes has no consequence; who goes on waits longer and longer, and
// is banned.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, bans := newTestPeers()
		began := time.Now()
		hashed := 0
		guess := func() error {
			return p.Guess(t.Context(), phone, func() error { hashed++; return errBad })
		}
		var at []time.Duration
		for range banAfter {
			if err := guess(); !fault.Is(err, fault.Auth) {
				t.Fatal(err)
			}
			at = append(at, time.Since(began))
		}
		want := []time.Duration{0, 0, 0, 0, 1, 3, 7, 15, 31, 63} // seconds
		for i, w := range want {
			if at[i] != w*time.Second {
				t.Errorf("guess %d at %v, want %v s", i+1, at[i], int(w))
			}
		}
		if err := guess(); !errors.Is(err, ErrBanned) || !p.Banned(phone) || p.Open(phone) != Banned || p.Bans() != 1 {
			t.Errorf("after %d guesses: %v", banAfter, err)
		}
		if p.Banned(netip.MustParseAddr("192.168.1.31")) {
			t.Error("a neighbour is banned")
		}
		for range 24 * 60 * 6 { // a guess each ten seconds, for a day
			time.Sleep(10 * time.Second)
			_ = guess()
		}
		t.Logf("%d passwords of one address were hashed in a day; banned for %v", hashed, *bans)
		if hashed > 20 {
			t.Errorf("%d were hashed", hashed)
		}
		time.Sleep(maxBan + guessesForgotten)
		before := hashed
		if err := guess(); !fault.Is(err, fault.Auth) || hashed != before+1 || p.Banned(phone) {
			t.Errorf("it is not forgotten: %v", err)
		}
	})
}

// An address of IPv6 is its network: one machine may have all of them.
func TestGuessesFromANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		for i := range banAfter {
			_ = p.Guess(t.Context(), netip.MustParseAddr(fmt.Sprintf("fd00::%d", i+1)), wrong)
		}
		if !p.Banned(netip.MustParseAddr("fd00::ffff")) || p.Banned(netip.MustParseAddr("fd00:0:0:1::1")) {
			t.Error("banned is not what one machine may have")
		}
	})
}

// A right password that has to be hashed waits as a wrong one does, and is let in.
// What is no wrong password is not counted.
func TestOtherOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, bans := newTestPeers()
		for range 2 * banAfter {
			if err := p.Guess(t.Context(), phone, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			_ = p.Guess(t.Context(), phone, func() error { return context.Canceled })
		}
		for range freeGuesses + 1 {
			_ = p.Guess(t.Context(), phone, wrong)
		}
		began := time.Now()
		if err := p.Guess(t.Context(), phone, func() error { return nil }); err != nil || time.Since(began) != firstWait {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if len(*bans) > 0 {
			t.Errorf("banned for %v", *bans)
		}
	})
}

// Many connections of one address do not guess faster than one, and end with the ban.
func TestGuessesSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		var hashed, banned atomic.Int32
		for range maxConns {
			go func() {
				err := p.Guess(t.Context(), phone, func() error { hashed.Add(1); return errBad })
				if errors.Is(err, ErrBanned) {
					banned.Add(1)
				}
			}()
		}
		time.Sleep(time.Hour / 2)
		if hashed.Load() != banAfter || banned.Load() != maxConns-banAfter {
			t.Errorf("%d were hashed, %d refused", hashed.Load(), banned.Load())
		}
	})
}

// Who sets a device up at this machine ends the bans.
func TestForgive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		for range banAfter {
			_ = p.Guess(t.Context(), phone, wrong)
		}
		p.Forgive()
		if p.Banned(phone) || p.Open(phone) != accepted {
			t.Error("still banned")
		}
		if err := p.Guess(t.Context(), phone, func() error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectionsOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		for i := range maxConns {
			if got := p.Open(phone); got != accepted {
				t.Fatalf("connection %d: %q", i+1, got)
			}
		}
		if got := p.Open(phone); got != TooMany {
			t.Errorf("one more: %q", got)
		}
		p.Close(phone)
		if got := p.Open(phone); got != TooMany { // it opens them too fast
			t.Errorf("one more at once: %q", got)
		}
		time.Sleep(connEvery)
		if got := p.Open(phone); got != accepted {
			t.Errorf("one more, later: %q", got)
		}
	})
}

// However many addresses there are, new ones are taken at a rate that costs little;
// those of devices that have logged in are not concerned.
func TestAFloodOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		p.Right(phone)
		taken := 0
		for i := range 100_000 {
			a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			if p.Open(a) == accepted {
				taken++
				p.Close(a)
			}
			if i%100 == 99 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		if most := burstNew + int(10*time.Second/newEvery); taken > most {
			t.Errorf("%d connections in ten seconds, want at most %d", taken, most)
		}
		if len(p.all) > maxPeers {
			t.Errorf("%d addresses are kept", len(p.all))
		}
		if got := p.Open(phone); got != accepted {
			t.Errorf("the phone: %q", got)
		}
	})
}

// An address with a ban is not forgotten for the sake of others.
func TestABanIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		for range banAfter {
			_ = p.Guess(t.Context(), phone, wrong)
		}
		for i := range 2 * maxPeers {
			p.Right(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		if !p.Banned(phone) || len(p.all) > maxPeers {
			t.Errorf("banned %v, %d addresses are kept", p.Banned(phone), len(p.all))
		}
	})
}

func TestAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPeers()
		for i := range maxAllConns {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			p.Right(a)
			if got := p.Open(a); got != accepted {
				t.Fatalf("connection %d: %q", i+1, got)
			}
		}
		if got := p.Open(phone); got != TooBusy {
			t.Errorf("one more: %q", got)
		}
	})
}
