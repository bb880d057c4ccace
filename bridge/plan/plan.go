// Package plan decides what a POP3 session has to do, from three things: the
// listing of the server, the ledger of what is stored here, and the policy of the
// account. It is pure: no clock, no network, no store. The listing and the ledger
// belong to the caller, and a Plan points into the ledger; only IDs.Check and ByNumber
// change a listing, in place.
//
// What always holds:
//
//   - A message is deleted only when a row of the ledger says that it is stored,
//     whole and undamaged, and when it is sure that the message is the row's. Where
//     nothing is to be deleted in the session (Hold), those that would have to be
//     compared first are among the deletions.
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
	Trusted int               // so many messages at the start are known to be those stored here (see Anchor)
}

// Make compares a listing with the ledger of the account.
//
// A listed message is a known one when a ledger row has its UIDL and its LIST
// size: a UIDL alone may be reused for another message once the first is gone
// (RFC 1939 section 7), and some servers give one to several. Everything else
// is fetched, and its content then decides whether it is new. So a size that
// changes costs one more RETR and nothing else.
//
// A message is deleted only when a row says that it is stored (invariant 1), and when
// it is sure that it is the row's: what may be another message under a used id
// is fetched and compared first (see doubtful and deletions). A row whose DELE
// was sent, that was absent since and is listed again, is taken for another
// message.
//
// When all ids are new and the sizes are those of before, the ids were
// renumbered (see presumeRenumbered).
func Make(in Input) *Plan {
	p := newPlan(in)
	p.pairByUIDL()
	p.trust()
	p.presumeRenumbered()
	p.presumeBySize()
	p.decideListed()
	p.decideUnlisted()
	return p
}

// Plan is what Make found out about a listing.
type Plan struct {
	Actions    Actions
	Renumbered bool // all ids are new and most sizes are known

	in        Input
	rowOf     []int                    // per listed message: index of its row, unpaired or presumed
	stored    []*mailstore.LedgerEntry // per listed message: the row that says it is stored here
	listed    []bool                   // per row: a listed message stands for it
	likely    []bool                   // per row: a listed message is taken for it
	open      []bool                   // per row: a message that is fetched may prove to be it, although it is listed
	markAfter time.Duration            // how long ago a row was listed that is marked again
	back      int                      // rows that were absent and are listed again
	anchored  []int                    // rows that an anchor stands for
	arrived   map[int]bool             // by number: compared or stored in this session
	given     map[string]int           // by freeDup
	twice     map[string]bool          // see Repeated
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
		if e.State == mailstore.Stored || e.State == mailstore.Presumed || e.Absent == 0 { // see Make for the others
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
// may have gone and another of its size have come (see Anchor).
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
