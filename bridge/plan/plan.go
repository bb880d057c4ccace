// Package plan decides what a POP3 session has to do, from three things: the
// listing of the server, the ledger of what is stored here, and the policy of the
// account. It is pure: no clock, no network, no store; the listing and the ledger
// belong to the caller and are not changed.
//
// What always holds:
//
//   - A message is deleted only when a row of the ledger says that it is stored,
//     whole and undamaged, and when it is sure that the message is the row's.
//   - A row is forgotten only after many complete listings without its id, on as
//     many days.
//   - A Permit never covers a policy that deletes more.
//
// A Plan belongs to one session, and is not safe for concurrent use.
package plan

import (
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

const (
	// An id is forgotten only when it was absent from more than this many
	// successful listings, on so many days. Servers answer short listings, and
	// old mail would come back as new.
	forgetAfter = 30

	// MarkEvery bounds what a poll that changes nothing writes: the time a row
	// was last listed is refreshed, and one more absence counted, at most this
	// often, however long the computer was off or the clock wrong in between.
	MarkEvery = 24 * time.Hour

	// fetchDoubtedAfter is the age from which on a message that may not be whole
	// is fetched once more.
	fetchDoubtedAfter = 15 * time.Minute
)

// Listed is one message of a listing: LIST and UIDL joined by number.
type Listed struct {
	Num  int
	Size int64  // as LIST announced it, a hint; 0: unknown
	UIDL string // "": the server gave none
}

// Fetch is a message to retrieve. With an empty UIDL its content decides
// whether it is known.
type Fetch struct {
	Listed
	Dup int // the ledger id it gets: which of the messages with this UIDL
	// Row is the row it is fetched for once more: to repair a file that is
	// damaged here, or to compare what may be another message. nil: not known.
	Row *mailstore.LedgerEntry
}

// IsRow reports whether a message with this content is the one of the row it was
// fetched for.
func (f Fetch) IsRow(hash mailstore.Hash) bool { return f.Row != nil && f.Row.Hash == hash }

// IsAgain reports whether the message is surely that of its row: one to compare
// would get an id of its own.
func (f Fetch) IsAgain() bool { return f.Row != nil && f.Row.Dup == f.Dup }

// Delete is a message to delete on the server and the row that says it is
// stored here.
type Delete struct {
	Num    int
	Entry  mailstore.LedgerEntry
	Reason string // in words
}

// Actions is what one session has to do.
type Actions struct {
	Fetch  []Fetch
	Delete []Delete
	Skip   int // listed messages with nothing to fetch

	Seen     []mailstore.LedgerEntry // rows to write: listed
	Absent   []mailstore.LedgerEntry // rows to write: not listed; only after a complete listing
	Forget   []mailstore.LedgerEntry // rows to remove; only after a complete listing
	Unlisted []mailstore.LedgerEntry // every row no listed message surely stands for: what a fetched message may prove to be

	// Readopt gives rows the new ids of their messages. It comes first, and the
	// rest is planned anew then.
	Readopt []mailstore.Readoption
}

// Input is what a plan is made from.
type Input struct {
	Listing []Listed                // in the order of its numbers
	Ledger  []mailstore.LedgerEntry // of the account, in the order of UIDL and Dup
	Policy  Policy
	Now     time.Time
	Partial bool              // the listing may not be whole
	Hold    bool              // nothing will be deleted in this session
	Held    func(Delete) bool // its deletion has to wait; nil: of none
	Relists bool              // the server goes on listing what it has confirmed as deleted
	Unsure  bool              // the server may give a used id to another message while we do not look
	Trusted int               // so many messages at the start are known to be those stored here (see anchor)
}

// ByNumber sorts a listing. Of a number that was listed twice the last counts.
func ByNumber(listing []Listed) []Listed {
	slices.SortStableFunc(listing, func(a, b Listed) int { return a.Num - b.Num })
	slices.Reverse(listing)
	listing = slices.CompactFunc(listing, func(a, b Listed) bool { return a.Num == b.Num })
	slices.Reverse(listing)
	return listing
}

// Find returns where a number is in a sorted listing.
func Find(listing []Listed, num int) (n int, listed bool) {
	return slices.BinarySearchFunc(listing, num, func(l Listed, num int) int { return l.Num - num })
}

// Make compares a listing with the ledger of the account.
//
// A listed message is a known one when a ledger row has its UIDL and its LIST
// size: a UIDL alone may be reused for another message once the first is gone
// (RFC 1939 section 7), and some servers give one to several. Everything else
// is fetched, and its content then decides whether it is new. So a size that
// changes costs one more RETR and nothing else.
//
// A message is deleted only when a row says that it is stored (law 1), and when
// it is sure that it is the row's: what may be another message under a used id
// is fetched and compared first (see doubtful and deletions). A row whose DELE
// was sent, that was absent since and is listed again, is taken for another
// message.
//
// When all ids are new and the sizes are those of before, the ids were
// renumbered (see presumeRenumbered).
func Make(in Input) *Plan {
	p := newPlan(in)
	p.run()
	return p
}

// Plan is what Make found out about a listing.
type Plan struct {
	Actions    Actions
	Renumbered bool // all ids are new and most sizes are known

	in       Input
	rowOf    []int                    // per listed message: index of its row, unpaired or presumed
	stored   []*mailstore.LedgerEntry // per listed message: the row that says it is stored here
	listed   []bool                   // per row: a listed message stands for it
	likely   []bool                   // per row: a listed message is taken for it
	open     []bool                   // per row: a message that is fetched may prove to be it, although it is listed
	back     int                      // rows that were absent and are listed again
	anchored []int                    // rows that an anchor stands for
	arrived  map[int]bool             // by number: compared or stored in this session
	given    map[string]int           // by freeDup
	twice    map[string]bool          // see Repeated
}

func newPlan(in Input) *Plan {
	return &Plan{
		in:     in,
		rowOf:  slices.Repeat([]int{unpaired}, len(in.Listing)),
		stored: make([]*mailstore.LedgerEntry, len(in.Listing)),
		listed: make([]bool, len(in.Ledger)),
		likely: make([]bool, len(in.Ledger)),
		open:   make([]bool, len(in.Ledger)),
	}
}

func (p *Plan) run() {
	p.pairByUIDL()
	p.trust()
	p.presumeRenumbered()
	p.presumeBySize()
	p.decideListed()
	p.decideUnlisted()
}

// pairByUIDL pairs listed messages and rows of the same UIDL and size, in the
// order of both.
func (p *Plan) pairByUIDL() {
	type key struct {
		uidl string
		size int64
	}
	// A ledger may have 100,000 rows, so the rows of a key are chained and not
	// slices of their own: 1 + the first row by key, and from row to row.
	first := make(map[key]int, len(p.in.Ledger))
	next := make([]int, len(p.in.Ledger))
	for i, e := range slices.Backward(p.in.Ledger) {
		if e.State == mailstore.Stored || e.State == mailstore.Presumed || e.Absent == 0 { // see Plan for the others
			k := key{e.UIDL, e.ListSize}
			first[k], next[i] = i+1, first[k]
		}
	}
	for n, l := range p.in.Listing {
		k := key{l.UIDL, l.Size}
		if row := first[k] - 1; l.UIDL != "" && row >= 0 {
			p.pair(n, row)
			first[k] = next[row]
		}
	}
}

// freeDup returns a Dup that no row of the UIDL has.
func (p *Plan) freeDup(uidl string) int {
	dup := 0
	behind, _ := slices.BinarySearchFunc(p.in.Ledger, uidl, func(e mailstore.LedgerEntry, uidl string) int {
		if e.UIDL <= uidl {
			return -1
		}
		return 1
	})
	if behind > 0 && p.in.Ledger[behind-1].UIDL == uidl {
		dup = p.in.Ledger[behind-1].Dup + 1
	}
	if p.Repeated()[uidl] {
		dup += p.given[uidl]
		p.given[uidl]++
	}
	return dup
}

// Repeated are the ids that several listed messages have. There are few, so that
// they are found without a map of 100,000.
func (p *Plan) Repeated() map[string]bool {
	if p.twice != nil {
		return p.twice
	}
	ids := make([]string, len(p.in.Listing))
	for i, l := range p.in.Listing {
		ids[i] = l.UIDL
	}
	slices.Sort(ids)
	p.twice, p.given = make(map[string]bool), make(map[string]int)
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			p.twice[ids[i]] = true
		}
	}
	return p.twice
}

func (p *Plan) pair(n, row int) {
	p.rowOf[n] = row
	p.stored[n] = &p.in.Ledger[row]
	p.listed[row] = true
	if p.in.Ledger[row].Absent > 0 {
		p.back++
	}
}

// presume takes a message for that of a row without its id: good enough to skip
// it, not to delete it.
func (p *Plan) presume(n, row int) {
	e := p.in.Ledger[row]
	e.State = mailstore.Presumed
	p.rowOf[n], p.stored[n] = presumed, &e
}

// What stands in rowOf for a listed message without a row.
const (
	unpaired = -1
	presumed = -2 // without UIDL, and taken for a row by its size or behind an anchor
)

// sizeTells is the size from which on two messages are not expected to have the
// same by chance.
const sizeTells = 64 << 10

// presumeBySize saves fetching what has no UIDL at every poll: a size listed
// once, and known once from the listing before, is taken for the same message.
// That is good enough to skip it, never to delete it. On a server that gives no
// UIDL at all small messages are not told like this: between two listings one
// may have gone and another of its size have come (see anchor).
func (p *Plan) presumeBySize() {
	least := int64(sizeTells)
	if slices.ContainsFunc(p.in.Listing, func(l Listed) bool { return l.UIDL != "" }) {
		least = 1
	}
	sizes := make(map[int64]int)
	for n, l := range p.in.Listing {
		if l.UIDL == "" && l.Size >= least && p.rowOf[n] == unpaired {
			sizes[l.Size]++
		}
	}
	if len(sizes) == 0 {
		return
	}
	rows := make(map[int64][]int)
	for i, e := range p.in.Ledger {
		if !p.listed[i] && e.Absent == 0 && e.State == mailstore.Stored && !e.Wanted {
			rows[e.ListSize] = append(rows[e.ListSize], i)
		}
	}
	for n, l := range p.in.Listing {
		if l.UIDL == "" && p.rowOf[n] == unpaired && sizes[l.Size] == 1 && len(rows[l.Size]) == 1 {
			p.presume(n, rows[l.Size][0])
			p.likely[rows[l.Size][0]] = true
		}
	}
}

// mostBack is the number of ids that may be absent and back at once before
// that is taken for a listing that was short, not for ids that are used again.
const mostBack = 50

// doubtful reports whether what is listed for the row may be another message
// that got its id and size after its deletion: RFC 1939 section 7 rules that
// out only as long as the first is there. DELE may have had its effect though
// the answer to QUIT was lost, and what was absent may have been deleted by
// another program.
func (p *Plan) doubtful(e *mailstore.LedgerEntry) bool {
	switch e.State {
	case mailstore.DeleteAcked:
		return !p.in.Relists
	case mailstore.DeleteIntended:
		return true
	default:
		return e.Absent > 0 && p.back <= mostBack
	}
}

// again reports whether a message of which little came is to be fetched once
// more.
func (p *Plan) again(e *mailstore.LedgerEntry) bool {
	return e.Doubt == mailstore.Doubted && p.in.Now.Sub(e.StoredAt) >= fetchDoubtedAfter
}

// Arrived notes that the message of a number was fetched or compared, and is
// durable here as entry.
func (p *Plan) Arrived(num int, entry mailstore.LedgerEntry) {
	n, listed := Find(p.in.Listing, num)
	if !listed {
		return
	}
	if p.arrived == nil {
		p.arrived = make(map[int]bool)
	}
	p.stored[n], p.arrived[num] = &entry, true
}

// HasArrived reports whether Arrived was called for the number.
func (p *Plan) HasArrived(num int) bool { return p.arrived[num] }

// Deletions plans the deletions once more, with what has arrived.
func (p *Plan) Deletions(now time.Time) []Delete {
	sure, _ := p.deletions(now)
	return sure
}

// Due returns what the policy wants deleted at a time, compared or not.
func (p *Plan) Due(at time.Time) []Delete { return p.in.Policy.due(p.in.Listing, p.stored, at) }

// DueOnceFetched is Due once all that is to be fetched is here. StoredAt is zero
// for what is not stored yet.
func (p *Plan) DueOnceFetched(now time.Time) []Delete {
	fetched := make(map[int]bool, len(p.Actions.Fetch))
	for _, f := range p.Actions.Fetch {
		fetched[f.Num] = f.Row == nil
	}
	stored := slices.Clone(p.stored)
	for n, l := range p.in.Listing {
		fetched[l.Num] = fetched[l.Num] && stored[n] == nil
		if fetched[l.Num] {
			stored[n] = &mailstore.LedgerEntry{Origin: mailstore.Origin{UIDL: l.UIDL}, ListSize: l.Size, StoredAt: now, State: mailstore.Stored}
		}
	}
	due := p.in.Policy.due(p.in.Listing, stored, now)
	for i := range due {
		if fetched[due[i].Num] {
			due[i].Entry.StoredAt = time.Time{}
		}
	}
	return due
}

// deletions returns what may be deleted now. A message that is due, and may be
// another one than was stored, has to be compared first.
func (p *Plan) deletions(now time.Time) (sure []Delete, compare map[int]bool) {
	compare = make(map[int]bool)
	for _, d := range p.in.Policy.due(p.in.Listing, p.stored, now) {
		switch {
		case p.arrived[d.Num]:
			sure = append(sure, d)
		case p.doubtful(&d.Entry):
		case !p.in.Hold && (d.Entry.State == mailstore.Presumed || d.Entry.Absent > 0 || p.in.Unsure):
			if p.in.Held == nil || !p.in.Held(d) {
				compare[d.Num] = true
			}
		default:
			sure = append(sure, d)
		}
	}
	return sure, compare
}

func (p *Plan) decideListed() {
	var compare map[int]bool
	p.Actions.Delete, compare = p.deletions(p.in.Now)
	due := make(map[int]bool, len(p.Actions.Delete))
	for _, d := range p.Actions.Delete {
		due[d.Num] = true
	}
	p.openSizes(compare)
	for n, l := range p.in.Listing {
		row := p.rowOf[n]
		if row >= 0 {
			p.markSeen(p.in.Ledger[row], due[l.Num])
		}
		switch {
		case row >= 0 && (p.in.Ledger[row].Wanted || p.again(&p.in.Ledger[row])):
			e := p.in.Ledger[row]
			p.Actions.Fetch = append(p.Actions.Fetch, Fetch{Listed: l, Dup: e.Dup, Row: &e})
		case row >= 0 && (p.doubtful(&p.in.Ledger[row]) || compare[l.Num]):
			e := p.in.Ledger[row]
			p.open[row] = true
			p.Actions.Fetch = append(p.Actions.Fetch, Fetch{Listed: l, Dup: p.freeDup(l.UIDL), Row: &e})
		case row >= 0, row == presumed && (l.UIDL != "" || !compare[l.Num]):
			p.Actions.Skip++
		default:
			f := Fetch{Listed: l}
			if l.UIDL != "" {
				f.Dup = p.freeDup(l.UIDL)
			}
			p.Actions.Fetch = append(p.Actions.Fetch, f)
		}
	}
	p.openAll()
}

// openAll lets what is fetched prove to be that of any row, where ids may have moved
// on to the next message, all of them at once.
func (p *Plan) openAll() {
	if !p.in.Unsure || !slices.ContainsFunc(p.Actions.Fetch, func(f Fetch) bool { return f.Row != nil }) {
		return
	}
	for _, row := range p.rowOf {
		if row >= 0 {
			p.open[row] = true
		}
	}
}

// openSizes adds to what is to be compared all that an anchor stands for and
// has the same size: which message of a size is which row shows only when they
// are all compared.
func (p *Plan) openSizes(compare map[int]bool) {
	sizes := make(map[int64]bool)
	for _, l := range p.in.Listing[:p.in.Trusted] {
		sizes[l.Size] = sizes[l.Size] || compare[l.Num]
	}
	for n, l := range p.in.Listing[:p.in.Trusted] {
		if sizes[l.Size] && p.rowOf[n] == presumed {
			compare[l.Num] = true
		}
	}
	for _, row := range p.anchored {
		p.open[row] = sizes[p.in.Ledger[row].ListSize]
	}
}

// markSeen writes a listed row where that says something new. A doubtful one is
// as it was until it is compared.
func (p *Plan) markSeen(e mailstore.LedgerEntry, due bool) {
	if p.doubtful(&e) {
		return
	}
	before := e
	if away := p.in.Now.Sub(e.LastListedAt); e.Absent > 0 || away >= MarkEvery || away < 0 {
		if e.Absent > 0 {
			e.State = mailstore.Presumed
		}
		e.Absent, e.LastListedAt = 0, p.in.Now
	}
	if !due && e.State == mailstore.DeleteAcked {
		e.State = mailstore.Stored // the DELE had no effect and is no longer wanted
	}
	if e != before {
		p.Actions.Seen = append(p.Actions.Seen, e)
	}
}

func (p *Plan) decideUnlisted() {
	for i, e := range p.in.Ledger {
		if p.listed[i] && e.State != mailstore.Presumed && !p.open[i] {
			continue
		}
		p.Actions.Unlisted = append(p.Actions.Unlisted, e)
		if p.likely[i] || p.listed[i] {
			continue
		}
		away := p.in.Now.Sub(e.LastListedAt)
		switch {
		case e.Absent > 0 && away >= 0 && away < MarkEvery: // counted already
		case e.Absent < forgetAfter || away < 0:
			e.Absent, e.LastListedAt = min(e.Absent+1, forgetAfter), p.in.Now
			p.Actions.Absent = append(p.Actions.Absent, e)
		case len(p.Actions.Fetch) == 0: // a message that waits to be fetched may be this one renumbered
			p.Actions.Forget = append(p.Actions.Forget, e)
		}
	}
}
