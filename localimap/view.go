package localimap

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailflags"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// columns are the messages a client knows, in the order of their sequence
// numbers: the i-th has number i+1. UIDs ascend.
type columns struct {
	uids     []mailstore.UID
	flags    []mailflags.Flags
	modseqs  []mailstore.ModSeq
	sizes    []int64
	received []int64
	saved    []int64
	contents []mailstore.ContentID
}

// view is the selected mailbox as this session's client has been told it is.
//
// told may hold messages that another session has expunged, for which no
// EXPUNGE could be sent yet, because RFC 9051 section 7.5.1 forbids it during
// FETCH, STORE and SEARCH. They keep their numbers and can still be fetched;
// the store skips them when they are changed or copied. sync tells everything
// that is new and brings told up to date.
type view struct {
	store    *mailstore.Store
	feed     *mailstore.View
	id       mailstore.MailboxID
	readOnly bool
	*enabled

	tellsUIDs  bool            // unasked FETCH responses carry the UID, after NOTIFY
	holdsFlags bool            // changed flags are not told, after NOTIFY without FlagChange
	heldFlags  bool            // there are some
	own        []mailstore.UID // messages that this session has made and was not told of

	told      columns
	ownsFlags bool                // told.flags and told.modseqs are not shared with a snapshot
	seen      *mailstore.Snapshot // the newest snapshot that is told
	settled   mailstore.ModSeq    // all changes up to it are told, removals too
	removed   bool                // removals were told, and settled not since

	recent   []uidSpan // messages that are \Recent in this session (RFC 3501 section 2.3.2)
	recents  uint32    // how many of them the client was told of
	sets     map[mailflags.KeywordSet]bool
	keywords map[string]bool
	learned  bool                // keywords has some that were not told
	names    map[flagsKey]string // "(\\Seen)"
	saved    []mailstore.UID     // the result of SEARCH RETURN (SAVE), RFC 5182
}

type uidSpan struct{ from, to mailstore.UID }

type flagsKey struct {
	flags  mailflags.Flags
	recent bool
}

// flagRecent has no name in go-imap: IMAP4rev2 has dropped it.
const flagRecent imap.Flag = `\Recent`

func newView(ctx context.Context, store *mailstore.Store, id mailstore.MailboxID, readOnly bool, on *enabled) (*view, error) {
	feed, err := store.OpenView(ctx, id)
	if err != nil {
		return nil, err
	}
	v := &view{
		store: store, feed: feed, id: id, readOnly: readOnly, enabled: on,
		sets: make(map[mailflags.KeywordSet]bool), keywords: make(map[string]bool),
		names: make(map[flagsKey]string),
	}
	v.seen = feed.Snapshot()
	v.settled = v.seen.Mailbox.HighestModSeq
	v.told = columnsOf(v.seen)
	v.claimRecent(ctx)
	v.recents = v.countRecent()
	v.learn(v.told.flags...)
	v.learned = false // SELECT tells them
	return v, nil
}

func columnsOf(s *mailstore.Snapshot) columns {
	return columns{s.UIDs, s.Flags, s.ModSeqs, s.Sizes, s.Received, s.Saved, s.Contents}
}

// newest returns the newest snapshot; that of a deleted mailbox is empty.
func (v *view) newest() *mailstore.Snapshot {
	if v.feed.Gone() {
		if len(v.seen.UIDs) == 0 {
			return v.seen
		}
		return &mailstore.Snapshot{Mailbox: v.seen.Mailbox}
	}
	return v.feed.Snapshot()
}

// delta is the way from what is told to a snapshot.
type delta struct {
	gone    []int // indices in told of messages that are not there any more, ascending
	changed []int // indices in next of messages whose flags or modification sequences changed, ascending
	added   int   // messages at the end of next that are new
	next    columns
	shared  bool // next consists of the snapshot's own slices
}

// diff compares. With keepGone the messages that are gone stay in next, and with
// modseqs a modification sequence that is all that changed counts. UIDs only ever
// rise, so whatever is new stands after everything told.
func diff(told columns, now *mailstore.Snapshot, keepGone, modseqs bool) delta {
	d := delta{gone: missing(told.uids, now.UIDs)}
	kept := len(told.uids) - len(d.gone)
	d.added = len(now.UIDs) - kept
	ghosts := keepGone && len(d.gone) > 0
	if d.next, d.shared = columnsOf(now), !ghosts; ghosts {
		d.next = columns{
			uids:     append(slices.Clone(told.uids), now.UIDs[kept:]...),
			flags:    append(slices.Clone(told.flags), now.Flags[kept:]...),
			modseqs:  append(slices.Clone(told.modseqs), now.ModSeqs[kept:]...),
			sizes:    append(slices.Clone(told.sizes), now.Sizes[kept:]...),
			received: append(slices.Clone(told.received), now.Received[kept:]...),
			saved:    append(slices.Clone(told.saved), now.Saved[kept:]...),
			contents: append(slices.Clone(told.contents), now.Contents[kept:]...),
		}
	}
	gone, j := d.gone, 0 // in now
	for i := range told.uids {
		if len(gone) > 0 && gone[0] == i {
			gone = gone[1:]
			continue
		}
		at := j
		if ghosts {
			at, d.next.flags[i], d.next.modseqs[i] = i, now.Flags[j], now.ModSeqs[j]
		}
		if now.Flags[j] != told.flags[i] || modseqs && now.ModSeqs[j] != told.modseqs[i] {
			d.changed = append(d.changed, at)
		}
		j++
	}
	return d
}

// missing returns the indices of the UIDs of old that are not in now.
func missing(old, now []mailstore.UID) []int {
	// Both ascend and what is new in now is above all of old: where the last
	// of old has kept its place, all have.
	if n := len(old); n == 0 || n <= len(now) && now[n-1] == old[n-1] {
		return nil
	}
	var gone []int
	j := 0
	for i, uid := range old {
		for j < len(now) && now[j] < uid {
			j++
		}
		if j < len(now) && now[j] == uid {
			j++
		} else {
			gone = append(gone, i)
		}
	}
	return gone
}

// without returns a copy of s without the elements at the given indices.
func without[T any](s []T, at []int) []T {
	out := make([]T, 0, len(s)-len(at))
	from := 0
	for _, i := range at {
		out = append(out, s[from:i]...)
		from = i + 1
	}
	return append(out, s[from:]...)
}

// sync tells the client what has changed and makes told the newest state.
func (s *session) sync(allowExpunge bool) {
	v, c := s.view, s.conn
	now := v.newest()
	if now == v.seen && (!v.heldFlags || v.holdsFlags) && (!allowExpunge || len(v.told.uids) == len(now.UIDs)) {
		return
	}
	d := diff(v.told, now, !allowExpunge, v.condstore)
	v.hold(&d, allowExpunge)
	if allowExpunge {
		v.tellGone(c, d.gone)
	}
	if allowExpunge || len(d.gone) == 0 {
		v.settled = now.Mailbox.HighestModSeq
	}
	v.told, v.ownsFlags, v.seen = d.next, !d.shared, now
	if d.added > 0 {
		v.claimRecent(s.ctx)
		c.tellExists(len(v.told.uids))
	}
	if n := v.countRecent(); n != v.recents || d.added > 0 {
		v.recents = n
		if !v.rev2 {
			c.tellRecent(n)
		}
	}
	v.learn(v.told.flags[len(v.told.flags)-d.added:]...)
	for _, i := range d.changed {
		v.learn(v.told.flags[i])
	}
	s.tellKeywords()
	for _, i := range d.changed {
		s.tellFlags(i, false, true)
	}
}

// hold takes changed flags out of d, where they are not told.
func (v *view) hold(d *delta, expunge bool) {
	v.heldFlags = v.holdsFlags && len(d.changed) > 0
	if !v.heldFlags {
		return
	}
	old, modseqs := v.told.flags, v.told.modseqs
	if expunge {
		old, modseqs = without(old, d.gone), without(modseqs, d.gone)
	}
	d.next.flags = append(slices.Clone(old), d.next.flags[len(old):]...)
	d.next.modseqs = append(slices.Clone(modseqs), d.next.modseqs[len(modseqs):]...)
	d.changed, d.shared = nil, false
}

// refresh brings the told flags of some messages up to date, for a command
// that is about to tell them. It returns those that have changed by that.
func (v *view) refresh(indices []int) map[int]bool {
	changed := make(map[int]bool)
	now := v.newest()
	if now == v.seen && !v.heldFlags {
		return changed
	}
	j := 0
	for _, i := range indices {
		j += sort.Search(len(now.UIDs)-j, func(k int) bool { return now.UIDs[j+k] >= v.told.uids[i] })
		if j < len(now.UIDs) && now.UIDs[j] == v.told.uids[i] && v.setFlags(i, now.Flags[j], now.ModSeqs[j]) {
			changed[i] = true
		}
	}
	return changed
}

// setFlags notes that the client knows the i-th message has these flags, and reports
// whether that is news to it.
func (v *view) setFlags(i int, f mailflags.Flags, modseq mailstore.ModSeq) bool {
	same := v.told.flags[i] == f
	if same && v.told.modseqs[i] == modseq {
		return false
	}
	if !v.ownsFlags {
		v.told.flags, v.told.modseqs, v.ownsFlags = slices.Clone(v.told.flags), slices.Clone(v.told.modseqs), true
	}
	v.told.flags[i], v.told.modseqs[i] = f, modseq
	v.learn(f)
	return !same || v.condstore
}

// learn notes keywords; new ones are told by the next sync.
func (v *view) learn(flags ...mailflags.Flags) {
	for _, f := range flags {
		if f.Keywords == 0 || v.sets[f.Keywords] {
			continue
		}
		v.sets[f.Keywords] = true
		for _, name := range v.store.FlagNames(mailflags.Flags{Keywords: f.Keywords}) {
			if !v.keywords[name] {
				v.keywords[name], v.learned = true, true
			}
		}
	}
}

var systemFlags = strings.Fields(`\Answered \Flagged \Deleted \Seen \Draft`)

// flagsInUse lists the system flags and the keywords of the mailbox.
func (v *view) flagsInUse() []string {
	return slices.Concat(systemFlags, slices.Sorted(maps.Keys(v.keywords)))
}

// flagNames returns the told flags of the i-th message, in parentheses.
func (v *view) flagNames(i int) string {
	key := flagsKey{v.told.flags[i], v.isRecent(v.told.uids[i])}
	text, ok := v.names[key]
	if !ok {
		list := slices.Clone(v.store.FlagNames(key.flags))
		if key.recent {
			list = append(list, string(flagRecent))
		}
		text = flagText(list)
		v.names[key] = text
	}
	return text
}

// flagText is a list of flags (RFC 9051 section 9, flag-list).
func flagText(flags []string) string { return "(" + strings.Join(flags, " ") + ")" }

// claimRecent takes the messages no session was told of as \Recent ones, also those that
// came in since the snapshot. An EXAMINE shows them and leaves them to others. IMAP4rev2
// has no \Recent.
func (v *view) claimRecent(ctx context.Context) {
	last := len(v.told.uids) - 1
	from := v.feed.Snapshot().RecentFrom // another session may have claimed them by now
	if v.rev2 || last < 0 || from > v.told.uids[last] {
		return
	}
	next := v.told.uids[last] + 1
	if !v.readOnly {
		var err error
		if from, next, err = v.feed.ClaimRecent(ctx); err != nil || from == next {
			return // \Recent is a courtesy
		}
	}
	if n := len(v.recent); n > 0 && v.recent[n-1].to >= from-1 {
		v.recent[n-1].to = max(next-1, v.recent[n-1].to)
		return
	}
	v.recent = append(v.recent, uidSpan{from, next - 1})
}

func (v *view) isRecent(uid mailstore.UID) bool {
	for _, span := range slices.Backward(v.recent) {
		if uid >= span.from {
			return uid <= span.to
		}
	}
	return false
}

func (v *view) countRecent() uint32 {
	n := 0
	for _, span := range v.recent {
		from, _ := slices.BinarySearch(v.told.uids, span.from)
		to, _ := slices.BinarySearch(v.told.uids, span.to+1)
		n += to - from
	}
	return uint32(n)
}
