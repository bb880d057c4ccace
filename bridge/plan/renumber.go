package plan

import (
	"github.com/popbridge/popbridge/internal/mailstore"
)

// leastPresumed is the number of messages that must be recognised by their
// size before a mailbox is taken for a renumbered one. Fewer are fetched: that
// costs little, and coincidences among them prove more.
const leastPresumed = 10

// presumeRenumbered recognises a mailbox whose ids were all changed, as after
// a migration of the provider, without fetching it.
//
// The evidence is that no listed message has a known id although three in four
// of the sizes are those of messages that were there before. Then a message is
// taken for a stored one if its size is unique in the listing and in the whole
// ledger, and the row's message was in the last listing. Its row is marked
// Presumed: good enough not to fetch it, not to delete it. Everything else is
// fetched and recognised by its content, or new.
func (p *Plan) presumeRenumbered() {
	if p.in.Partial || len(p.in.Listing) < leastPresumed || len(p.in.Ledger) < leastPresumed {
		return
	}
	listed := make(map[int64]int, len(p.in.Listing))
	for n, l := range p.in.Listing {
		if l.UIDL == "" || l.Size <= 0 || l.Num != n+1 || p.rowOf[n] != unpaired {
			return
		}
		listed[l.Size]++
	}
	known, row := p.sizesBefore()
	explained := 0
	var found []int
	for n, l := range p.in.Listing {
		i, there := row[l.Size]
		if there {
			explained++
		}
		if there && listed[l.Size] == 1 && known[l.Size] == 1 && !p.in.Ledger[i].Wanted {
			found = append(found, n)
		}
	}
	p.Renumbered = explained*4 >= len(p.in.Listing)*3
	if !p.Renumbered || len(found) < leastPresumed {
		return
	}
	for _, n := range found {
		l := p.in.Listing[n]
		i := row[l.Size]
		e := p.in.Ledger[i]
		e.State = mailstore.Presumed
		p.rowOf[n], p.likely[i], p.stored[n] = presumed, true, &e
		to := mailstore.Origin{Account: p.in.Ledger[i].Account, UIDL: l.UIDL, Dup: p.freeDup(l.UIDL)}
		p.Actions.Readopt = append(p.Actions.Readopt, mailstore.Readoption{From: p.in.Ledger[i].Origin, To: to, ListSize: l.Size})
	}
}

// sizesBefore counts the rows of each size, and names one whose message was
// there at the last listing and was not to be deleted.
func (p *Plan) sizesBefore() (known map[int64]int, row map[int64]int) {
	known, row = make(map[int64]int, len(p.in.Ledger)), make(map[int64]int, len(p.in.Ledger))
	for i, e := range p.in.Ledger {
		known[e.ListSize]++
		if e.Absent == 0 && (e.State == mailstore.Stored || e.State == mailstore.Presumed) {
			row[e.ListSize] = i
		}
	}
	return known, row
}
