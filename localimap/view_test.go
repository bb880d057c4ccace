package localimap

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// snap makes a snapshot from UIDs; flags are given by UID.
func snap(flags map[mailstore.UID]mailflags.System, uids ...mailstore.UID) *mailstore.Snapshot {
	s := &mailstore.Snapshot{UIDs: uids}
	for _, uid := range uids {
		s.Flags = append(s.Flags, mailflags.Flags{System: flags[uid]})
		s.Sizes = append(s.Sizes, int64(uid)*10)
		s.ModSeqs = append(s.ModSeqs, mailstore.ModSeq(flags[uid])+1)
		s.Saved = append(s.Saved, int64(uid)*50)
		s.Received = append(s.Received, int64(uid)*100)
		s.Contents = append(s.Contents, mailstore.ContentID(uid)*1000)
	}
	return s
}

type uids = []mailstore.UID

func TestDiff(t *testing.T) {
	seen := map[mailstore.UID]mailflags.System{2: mailflags.Seen, 4: mailflags.Seen, 9: mailflags.Seen}
	for _, tt := range []struct {
		name     string
		told     *mailstore.Snapshot
		now      *mailstore.Snapshot
		keepGone bool
		gone     []int
		changed  []int
		added    int
		next     uids
	}{
		{name: "nothing", told: snap(nil, 1, 2), now: snap(nil, 1, 2), next: uids{1, 2}},
		{name: "both empty", told: snap(nil), now: snap(nil), next: nil},
		{name: "first mail", told: snap(nil), now: snap(nil, 5), added: 1, next: uids{5}},
		{name: "new mail", told: snap(nil, 1, 2), now: snap(nil, 1, 2, 7, 9), added: 2, next: uids{1, 2, 7, 9}},
		{name: "flags", told: snap(nil, 1, 2, 4), now: snap(seen, 1, 2, 4), changed: []int{1, 2}, next: uids{1, 2, 4}},
		{name: "flags of new mail are no change", told: snap(nil, 1), now: snap(seen, 1, 4), added: 1, next: uids{1, 4}},
		{name: "first gone", told: snap(nil, 1, 2, 4), now: snap(seen, 2, 4), gone: []int{0}, changed: []int{0, 1}, next: uids{2, 4}},
		{name: "first gone, kept", told: snap(nil, 1, 2, 4), now: snap(seen, 2, 4), keepGone: true, gone: []int{0}, changed: []int{1, 2}, next: uids{1, 2, 4}},
		{name: "last gone, new mail", told: snap(nil, 1, 2), now: snap(nil, 1, 3), gone: []int{1}, added: 1, next: uids{1, 3}},
		{name: "last gone, new mail, kept", told: snap(nil, 1, 2), now: snap(nil, 1, 3), keepGone: true, gone: []int{1}, added: 1, next: uids{1, 2, 3}},
		{name: "all gone", told: snap(nil, 1, 2), now: snap(nil), gone: []int{0, 1}, next: nil},
		{name: "all gone, kept", told: snap(nil, 1, 2), now: snap(nil), keepGone: true, gone: []int{0, 1}, next: uids{1, 2}},
		{name: "all replaced", told: snap(nil, 1, 2), now: snap(nil, 8, 9), gone: []int{0, 1}, added: 2, next: uids{8, 9}},
		{name: "all replaced, kept", told: snap(nil, 1, 2), now: snap(seen, 8, 9), keepGone: true, gone: []int{0, 1}, added: 2, next: uids{1, 2, 8, 9}},
		{name: "every other gone", told: snap(nil, 1, 2, 3, 4, 5), now: snap(seen, 2, 4, 6), gone: []int{0, 2, 4}, changed: []int{0, 1}, added: 1, next: uids{2, 4, 6}},
	} {
		d := diff(columnsOf(tt.told), tt.now, tt.keepGone, false)
		if !slices.Equal(d.gone, tt.gone) || !slices.Equal(d.changed, tt.changed) || d.added != tt.added || !slices.Equal(d.next.uids, tt.next) {
			t.Errorf("%s: gone %v changed %v added %d next %v", tt.name, d.gone, d.changed, d.added, d.next.uids)
		}
	}
}

// TestDiffModel lets a mailbox change at random and applies what diff tells to
// the list of an imagined client: numbers always mean the same message on both
// sides, and after a sync that may expunge the client knows the mailbox.
func TestDiffModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		box := snap(nil)
		next := mailstore.UID(1)
		var told columns
		type known struct {
			uid   mailstore.UID
			flags mailflags.Flags
		}
		var client []known
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			// The mailbox changes: some go, some change, some come.
			flags := make(map[mailstore.UID]mailflags.System)
			var left uids
			for i, uid := range box.UIDs {
				flags[uid] = box.Flags[i].System
				switch rapid.IntRange(0, 5).Draw(t, "fate") {
				case 0:
					continue
				case 1:
					flags[uid] ^= mailflags.Seen
				}
				left = append(left, uid)
			}
			for range rapid.IntRange(0, 3).Draw(t, "new") {
				left = append(left, next)
				next += mailstore.UID(rapid.IntRange(1, 3).Draw(t, "gap"))
			}
			box = snap(flags, left...)

			allowExpunge := rapid.Bool().Draw(t, "expunge")
			d := diff(told, box, !allowExpunge, true)
			if allowExpunge {
				for _, i := range slices.Backward(d.gone) {
					client = slices.Delete(client, i, i+1)
				}
			}
			for i := len(d.next.uids) - d.added; i < len(d.next.uids); i++ {
				client = append(client, known{d.next.uids[i], d.next.flags[i]})
			}
			for _, i := range d.changed {
				client[i].flags = d.next.flags[i]
			}
			told = d.next
			if len(client) != len(told.uids) {
				t.Fatalf("the client counts %d messages, the session %d", len(client), len(told.uids))
			}
			for i, k := range client {
				if k.uid != told.uids[i] || k.flags != told.flags[i] || told.sizes[i] != int64(k.uid)*10 ||
					told.received[i] != int64(k.uid)*100 || told.saved[i] != int64(k.uid)*50 || told.modseqs[i] != mailstore.ModSeq(k.flags.System)+1 || told.contents[i] != mailstore.ContentID(k.uid)*1000 {
					t.Fatalf("message %d is %v for the client, %d %v for the session", i+1, k, told.uids[i], told.flags[i])
				}
			}
			if allowExpunge && (!slices.Equal(told.uids, box.UIDs) || !slices.Equal(told.flags, box.Flags)) {
				t.Fatalf("told %v, the mailbox has %v", told.uids, box.UIDs)
			}
		}
	})
}

func TestResolve(t *testing.T) {
	v := &view{told: columns{uids: uids{2, 4, 6, 8}}, saved: uids{4, 5, 8}}
	empty := &view{}
	for _, tt := range []struct {
		name string
		v    *view
		set  string
		uid  bool
		want []int
		bad  bool
	}{
		{name: "one", v: v, set: "2", want: []int{1}},
		{name: "all", v: v, set: "1:*", want: []int{0, 1, 2, 3}},
		{name: "star", v: v, set: "*", want: []int{3}},
		{name: "star and a range with it", v: v, set: "*,3:*", want: []int{2, 3}},
		{name: "beyond the end", v: v, set: "3:9", bad: true},
		{name: "only beyond", v: v, set: "5:9", bad: true},
		{name: "n:* beyond", v: v, set: "9:*", want: []int{3}},
		{name: "overlapping, unsorted", v: v, set: "2:4,1:3", want: []int{0, 1, 2, 3}},
		{name: "nothing there, star", v: empty, set: "1:*"},
		{name: "nothing there, number", v: empty, set: "1", bad: true},

		{name: "uid", v: v, set: "4", uid: true, want: []int{1}},
		{name: "no such uid", v: v, set: "5", uid: true, want: nil},
		{name: "uids around", v: v, set: "3:7", uid: true, want: []int{1, 2}},
		{name: "all uids", v: v, set: "1:*", uid: true, want: []int{0, 1, 2, 3}},
		{name: "last uid", v: v, set: "*", uid: true, want: []int{3}},
		{name: "n:* is the last where n is above", v: v, set: "99:*", uid: true, want: []int{3}},
		{name: "highest number", v: v, set: "8:4294967295", uid: true, want: []int{3}},
		{name: "uids of nothing", v: empty, set: "1:*", uid: true},
		{name: "saved", v: v, set: "$", want: []int{1, 3}},
		{name: "nothing saved", v: empty, set: "$"},
	} {
		got, err := tt.v.resolve(readSet(t, tt.set), tt.uid)
		if (err != nil) != tt.bad || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func reading(text string) *imapwire.Reader {
	r := imapwire.NewReader(strings.NewReader(text+"\r\n"), limitsLoggedIn, nil)
	if err := r.Next(); err != nil {
		panic(err)
	}
	return r
}

func readSet(t *testing.T, text string) imapwire.Set {
	t.Helper()
	r := reading(text)
	set := r.Set()
	if err := r.End(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return set
}

func TestRecentSpans(t *testing.T) {
	v := &view{told: columns{uids: uids{1, 2, 5, 6, 9}}, recent: []uidSpan{{2, 5}, {9, 20}}}
	if n := v.countRecent(); n != 3 {
		t.Errorf("%d recent, want 3", n)
	}
	for uid, want := range map[mailstore.UID]bool{1: false, 2: true, 5: true, 6: false, 8: false, 9: true, 21: false} {
		if v.isRecent(uid) != want {
			t.Errorf("isRecent(%d) = %v", uid, !want)
		}
	}
}
