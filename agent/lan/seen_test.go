package lan

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seen.json")
	open := func() *Seen {
		t.Helper()
		s, err := OpenSeen(path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := open()
	note := func(device, address string, expected, wantNew, wantNews bool) {
		t.Helper()
		one, isNew, err := s.Note("m", "ann", device, netip.MustParseAddr(address), now, expected)
		if err != nil || isNew != wantNew || one.News != wantNews {
			t.Errorf("%s at %s: %+v, new %v, %v", device, address, one, isNew, err)
		}
	}
	note("phone", "192.168.1.30", true, true, false) // the person sets it up
	note("phone", "192.168.1.30", true, false, false)
	note("phone", "192.168.1.31", true, true, true) // its second one is none of these
	note("tablet", "192.168.1.30", false, true, true)
	note("tablet", "fd00::1:2:3:4", false, true, true)
	note("tablet", "fd00::5:6:7:8", false, false, true) // of the same network
	s = open()
	note("phone", "192.168.1.31", false, false, true)
	note("tablet", "fd00::9", false, false, true)
	if got := s.News(now.Add(NewsFor - time.Second)); len(got) != 3 || got[0].Address != "192.168.1.31" || got[1].First != true || got[2].Address != "fd00::/64" {
		t.Errorf("news %+v", got)
	}
	if got := s.News(now.Add(NewsFor)); len(got) != 0 {
		t.Errorf("old news %+v", got)
	}
	if err := s.Forget("ann", "tablet"); err != nil {
		t.Fatal(err)
	}
	s = open()
	if got := s.News(now); len(got) != 1 || got[0].Device != "phone" {
		t.Errorf("news of a device that is forgotten: %+v", got)
	}
	note("tablet", "192.168.1.30", false, true, true)
}

// What is kept is bounded, and the addresses that are used stay.
func TestSeenIsBounded(t *testing.T) {
	s, err := OpenSeen(filepath.Join(t.TempDir(), "seen.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 100 {
		now = now.Add(seenEvery)
		for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.MustParseAddr("192.168.1.30")} {
			if _, _, err := s.Note("m", "ann", "phone", a, now, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.list) != maxSightings {
		t.Errorf("%d are kept", len(s.list))
	}
	if _, isNew, _ := s.Note("m", "ann", "phone", netip.MustParseAddr("192.168.1.30"), now, true); isNew {
		t.Error("the address that is used is forgotten")
	}
}

// Who has the password of a device, and may only read with it, does not fill INBOX with
// news by coming from ever more addresses.
func TestNewsAreBounded(t *testing.T) {
	s, err := OpenSeen(filepath.Join(t.TempDir(), "seen.json"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 2 {
		told := 0
		for i := range 300 {
			now = now.Add(time.Minute)
			one, isNew, err := s.Note("m", "ann", "phone", netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 100)}), now, false)
			if err != nil {
				t.Fatal(err)
			}
			if isNew && one.News {
				told++
			}
		}
		if got := len(s.News(now)); told != maxNews || got != maxNews {
			t.Errorf("told %d times, %d are news", told, got)
		}
		if one, _, err := s.Note("m", "ann", "tablet", netip.MustParseAddr("10.0.0.200"), now, false); err != nil || !one.News {
			t.Errorf("another device: %+v, %v", one, err)
		}
		if err := s.Forget("ann", "tablet"); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * NewsFor)
	}
}

func TestSeenOfADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seen.json")
	if err := os.WriteFile(path, []byte(`[{"mail": 7`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSeen(path)
	if err == nil {
		t.Error("no error")
	}
	if _, isNew, err := s.Note("m", "ann", "phone", netip.MustParseAddr("192.168.1.30"), time.Now(), true); !isNew || err != nil {
		t.Errorf("new %v, %v", isNew, err)
	}
}
