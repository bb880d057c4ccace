package plan

import (
	"strconv"
	"strings"
	"testing"
)

func TestPositional(t *testing.T) {
	for _, tt := range []struct {
		ids         string
		found, bare bool
	}{
		{"1", true, true},
		{"1 2 3", true, true},
		{"0001 0002 0003", true, true},
		{"1 - 3", true, true},
		{"msg1 msg2", true, false},
		{"1@host 2@host", true, false},
		{"1 3", false, false},
		{"2", false, false},
		{"msg1 id2", false, false},
		{"UID1-1700000000 UID2-1700000000", false, false},
		{"1700000000.1 1700000000.2", false, false},
		{"1 2 abc", false, false},
		{"99999999999999999999", false, false},
		{"-", false, false},
	} {
		var listing []Listed
		for n, id := range strings.Fields(tt.ids) {
			listing = append(listing, Listed{Num: n + 1, UIDL: strings.TrimSuffix(id, "-")})
		}
		if found, bare := positional(listing); found != tt.found || bare != tt.bare {
			t.Errorf("%s: %v %v", tt.ids, found, bare)
		}
	}
}

func FuzzNumber(f *testing.F) {
	f.Add("1")
	f.Add("msg0042@host")
	f.Add("UID7-1700000000")
	f.Fuzz(func(t *testing.T, id string) {
		before, n, after, ok := number(id)
		if !ok {
			return
		}
		digits := strings.TrimSuffix(strings.TrimPrefix(id, before), after)
		if m, err := strconv.Atoi(digits); err != nil || m != n || before+digits+after != id || strings.ContainsAny(before+after, "0123456789") {
			t.Errorf("%q is %q, %d, %q", id, before, n, after)
		}
	})
}

func TestMayBePlaces(t *testing.T) {
	for ids, want := range map[string]string{
		"0 1 2": "up", "1.7 1.8 1.9 1.10": "up", "msg9 msg10": "up", "00000009 0000000a 0000000b": "up", "9 A B": "up", "3-x 2-x 1-x": "down",
		"100 101": "up", "x": "up", "a c": "no", "1 3": "no", "1 2 4": "no", "7 7": "no", "2 1 2": "no",
		"0000000157a5b6c7 0000000257a5b6c7": "no", "GmailId1234 GmailId9876": "no", "1-5 2-6": "no", "msg msg1": "no",
	} {
		var listing []Listed
		for i, id := range strings.Fields(ids) {
			listing = append(listing, Listed{Num: i + 1, UIDL: id})
		}
		got := "no"
		if places, up := mayBePlaces(listing); places {
			got = map[bool]string{true: "up", false: "down"}[up]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", ids, got, want)
		}
	}
	if places, _ := mayBePlaces([]Listed{{Num: 1, UIDL: "0"}, {Num: 2, UIDL: "1"}, {Num: 4, UIDL: "3"}}); !places {
		t.Error("a gap in the numbers is taken for one in the ids")
	}
}

// What a server lists, session by session, says whether its ids can be trusted.
func TestCheckIDs(t *testing.T) {
	for _, tt := range []struct {
		name                     string
		listings                 []string
		numbered, proven, reuses bool
		dropped                  bool // the ids of the last listing
	}{
		{"real ids", []string{"x7 k2 p9"}, false, true, false, false},
		{"message numbers", []string{"1 2 3"}, true, false, false, true},
		{"message numbers in a text, trusted so far", []string{"m1 m2"}, true, false, false, false},
		{"message numbers in a text, used again", []string{"m1 m2"}, true, false, true, true},
		{"numbers that rise above one that is gone", []string{"1 2 3", "2 4", "4 5"}, false, true, false, false},
		{"places, counted from 0", []string{"0 1 2", "0 1"}, false, false, false, false},
		{"places, used again", []string{"0 1 2"}, false, false, true, true},
		{"the first one is gone", []string{"10 11 12", "11 12"}, false, true, false, false},
	} {
		known := IDs{Reuses: tt.reuses}
		dropped := false
		for _, ids := range tt.listings {
			var listing []Listed
			for i, id := range strings.Fields(ids) {
				listing = append(listing, Listed{Num: i + 1, UIDL: id})
			}
			known.Check(listing, true)
			dropped = listing[0].UIDL == ""
		}
		if known.Numbered != tt.numbered || known.Proven != tt.proven || dropped != tt.dropped {
			t.Errorf("%s: %+v, dropped %v", tt.name, known, dropped)
		}
	}
}
