package plan

import "github.com/popbridge/popbridge/internal/mailstore"

// Moved plans what becomes of the rows of an account that is polled at another
// server, where a message may have the id and the size of another one here. Where
// most of what is listed is known by both, it is the same server by another name,
// and only what is to be deleted is compared. Otherwise no id counts any more: all
// is fetched, and known by its content. The listing and the ledger are in the
// order of Input.
func Moved(listing []Listed, ledger []mailstore.LedgerEntry) (rows []mailstore.Readoption, sameIDs bool) {
	sameIDs = countKnown(listing, ledger)*2 > len(listing)
	for _, e := range ledger {
		if e.State == mailstore.Stored || e.State == mailstore.Presumed || e.State == mailstore.DeleteIntended && e.Absent == 0 {
			if !sameIDs {
				e.ListSize = 0 // of no message that is listed (see Make)
			}
			rows = append(rows, mailstore.Readoption{From: e.Origin, To: e.Origin, ListSize: e.ListSize})
		}
	}
	return rows, sameIDs
}

// countKnown counts the listed messages with the id and the size of a row.
func countKnown(listing []Listed, ledger []mailstore.LedgerEntry) (n int) {
	p := newPlan(Input{Listing: listing, Ledger: ledger})
	p.pairByUIDL()
	for _, row := range p.rowOf {
		if row >= 0 {
			n++
		}
	}
	return n
}
