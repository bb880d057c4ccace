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
	p.chooseMark()
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

// chooseMark lets those be marked as listed that would be within half a day, when
// one is: so that they are all marked by one session a day.
func (p *Plan) chooseMark() {
	p.markAfter = MarkEvery
	for _, row := range p.rowOf {
		if row >= 0 && p.in.Now.Sub(p.in.Ledger[row].LastListedAt) >= MarkEvery {
			p.markAfter = MarkEvery / 2
			return
		}
	}
}

// markSeen writes a listed row where that says something new. A doubtful one is
// as it was until it is compared.
func (p *Plan) markSeen(e mailstore.LedgerEntry, due bool) {
	if p.doubtful(&e) {
		return
	}
	before := e
	if away := p.in.Now.Sub(e.LastListedAt); e.Absent > 0 || away >= p.markAfter || away < 0 {
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
