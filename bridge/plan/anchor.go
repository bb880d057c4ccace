package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// Anchor tells, on a server that gives no ids, that the first messages of a
// listing are still those that are stored: their sizes are the same, one by
// one, and so is the content of the last of them. Servers add mail at the end,
// so what comes before a message that kept its number has not changed either.
//
// It costs one RETR at each poll, where each small message and each that shares
// its size with another would cost one.
type Anchor struct {
	Num   int    `json:"num"`
	Sizes []byte `json:"sizes"` // sizesHash up to Num
	Hash  []byte `json:"hash"`  // of the content of Num
}

// sizesHash is of the first n sizes of a listing; nil where it cannot be
// compared.
func sizesHash(listing []Listed, n int) []byte {
	if n < 1 || n > len(listing) {
		return nil
	}
	h := sha256.New()
	for i, l := range listing[:n] {
		if l.Num != i+1 || l.Size <= 0 || l.UIDL != "" {
			return nil
		}
		_ = binary.Write(h, binary.BigEndian, l.Size) // a hash takes everything
	}
	return h.Sum(nil)
}

// StandsFor reports whether the listing may be one that the anchor stands for.
func (a *Anchor) StandsFor(listing []Listed) bool {
	return a != nil && bytes.Equal(a.Sizes, sizesHash(listing, a.Num))
}

// trust takes the first messages for the rows of their sizes, as they were
// found unchanged. It takes no row for granted: where the rows are not those
// of that listing, nothing is trusted.
func (p *Plan) trust() {
	sizes := make(map[int64]int)
	for _, l := range p.in.Listing[:p.in.Trusted] {
		sizes[l.Size]++
	}
	var rows []int
	for i, e := range p.in.Ledger {
		if e.Absent > 0 || sizes[e.ListSize] == 0 || e.State == mailstore.DeleteAcked || e.State == mailstore.DeleteIntended {
			continue
		}
		if e.State != mailstore.Stored || e.Wanted {
			return
		}
		rows = append(rows, i)
	}
	for _, i := range rows {
		sizes[p.in.Ledger[i].ListSize]--
	}
	for _, n := range sizes {
		if n != 0 {
			return
		}
	}
	bySize := make(map[int64][]int)
	for _, i := range rows {
		p.listed[i] = true
		bySize[p.in.Ledger[i].ListSize] = append(bySize[p.in.Ledger[i].ListSize], i)
	}
	for n, l := range p.in.Listing[:p.in.Trusted] {
		p.presume(n, bySize[l.Size][0])
		bySize[l.Size] = bySize[l.Size][1:]
	}
	p.anchored = rows
}

// NextAnchor chooses the anchor of the next session: the smallest message
// that was fetched in this one, behind all that their size does not tell, where
// everything before it is stored here. What QUIT has deleted is not counted.
// old is the anchor so far, here what was fetched or compared, by number.
func (p *Plan) NextAnchor(old *Anchor, here map[int]mailstore.Hash, deleted []mailstore.LedgerEntry) *Anchor {
	listing, was := p.without(deleted)
	fetched := func(n int) bool { _, ok := here[p.in.Listing[was[n]].Num]; return ok }
	sizes := make(map[int64]int, len(listing))
	for _, l := range listing {
		sizes[l.Size]++
	}
	last, known := 0, 0
	for n, l := range listing {
		if sizes[l.Size] > 1 || l.Size < sizeTells {
			last = n + 1
		}
		if known == n && (fetched(n) || p.rowOf[was[n]] == presumed) {
			known++
		}
	}
	if old != nil && p.in.Trusted > 0 && old.Num >= last && len(deleted) == 0 {
		return old
	}
	if last == 0 {
		return nil // each is told by its size
	}
	best := 0
	for n := last; n <= known; n++ {
		if fetched(n-1) && (best == 0 || listing[n-1].Size < listing[best-1].Size) {
			best = n
		}
	}
	sum := sizesHash(listing, best)
	if best == 0 || sum == nil {
		return nil
	}
	hash := here[p.in.Listing[was[best-1]].Num]
	return &Anchor{Num: best, Sizes: sum, Hash: hash[:]}
}

// without returns the listing as it is after deletions, numbered again from 1,
// and where each of its messages is in the listing of this session.
func (p *Plan) without(deleted []mailstore.LedgerEntry) (rest []Listed, was []int) {
	gone := make(map[mailstore.Origin]bool, len(deleted))
	for _, e := range deleted {
		gone[e.Origin] = true
	}
	for n, l := range p.in.Listing {
		if e := p.stored[n]; e != nil && gone[e.Origin] {
			continue
		}
		if len(deleted) > 0 {
			l.Num = len(rest) + 1
		}
		rest, was = append(rest, l), append(was, n)
	}
	return rest, was
}
