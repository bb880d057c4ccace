package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// anchor tells, on a server that gives no ids, that the first messages of a
// listing are still those that are stored: their sizes are the same, one by
// one, and so is the content of the last of them. Servers add mail at the end,
// so what comes before a message that kept its number has not changed either.
//
// It costs one RETR at each poll, where each small message and each that shares
// its size with another would cost one.
type anchor struct {
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

// anchored reports whether the listing may be one that the anchor stands for.
func (s *session) anchored() bool {
	a := s.notes.Anchor
	return a != nil && s.complete && bytes.Equal(a.Sizes, sizesHash(s.listing, a.Num))
}

// holds reports whether the messages up to the anchor are those stored here. It
// is asked only when it can save something. An anchor that cannot be fetched
// is none any more: it may be a message that breaks every session.
func (s *session) holds(ctx context.Context) (bool, error) {
	a := s.notes.Anchor
	if !s.anchored() || len(s.actions.Fetch) == 0 || s.actions.Fetch[0].Num > a.Num {
		return false, nil
	}
	s.m.phase(PhaseCompare)
	s.notes.Anchor = nil
	hashes, err := s.hashes(pop3.Request{Num: a.Num, Size: s.listing[a.Num-1].Size})
	h, came := hashes[a.Num]
	switch {
	case ctx.Err() != nil:
		s.notes.Anchor = a
		return false, ctx.Err()
	case err != nil:
		return false, err
	case !came || !bytes.Equal(a.Hash, h[:]):
		// It is another message: stored in this session, or not yet.
		s.wasted = came && !slices.ContainsFunc(s.actions.Fetch, func(f Fetch) bool { return f.Num == a.Num })
		return false, nil
	}
	s.notes.Anchor = a
	s.here[a.Num] = mailstore.Hash(a.Hash)
	return true, nil
}

// trust takes the first messages for the rows of their sizes, as they were
// found unchanged. It takes no row for granted: where the rows are not those
// of that listing, nothing is trusted.
func (p *planner) trust() {
	sizes := make(map[int64]int)
	for _, l := range p.listing[:p.trusted] {
		sizes[l.Size]++
	}
	var rows []int
	for i, e := range p.ledger {
		if e.Absent > 0 || sizes[e.ListSize] == 0 || e.State == mailstore.DeleteAcked || e.State == mailstore.DeleteIntended {
			continue
		}
		if e.State != mailstore.Stored || e.Wanted {
			return
		}
		rows = append(rows, i)
	}
	for _, i := range rows {
		sizes[p.ledger[i].ListSize]--
	}
	for _, n := range sizes {
		if n != 0 {
			return
		}
	}
	bySize := make(map[int64][]int)
	for _, i := range rows {
		p.listed[i] = true
		bySize[p.ledger[i].ListSize] = append(bySize[p.ledger[i].ListSize], i)
	}
	for n, l := range p.listing[:p.trusted] {
		p.presume(n, bySize[l.Size][0])
		bySize[l.Size] = bySize[l.Size][1:]
	}
	p.anchored = rows
}

// chooseAnchor chooses the anchor of the next session: the smallest message
// that was fetched in this one, behind all that their size does not tell, where
// everything before it is stored here. What QUIT has deleted is not counted.
func (s *session) chooseAnchor(deleted []mailstore.LedgerEntry) {
	if !s.contentMode || !s.complete || len(s.here) == 0 {
		return
	}
	listing, was := s.without(deleted)
	sizes := make(map[int64]int, len(listing))
	for _, l := range listing {
		sizes[l.Size]++
	}
	last, known := 0, 0
	for n, l := range listing {
		if sizes[l.Size] > 1 || l.Size < sizeTells {
			last = n + 1
		}
		if _, fetched := s.here[s.listing[was[n]].Num]; known == n && (fetched || s.planner.rowOf[was[n]] == presumed) {
			known++
		}
	}
	if a := s.notes.Anchor; a != nil && s.planner.trusted > 0 && a.Num >= last && len(deleted) == 0 {
		return
	}
	s.notes.Anchor = nil
	if last == 0 {
		return // each is told by its size
	}
	best := 0
	for n := last; n <= known; n++ {
		if _, fetched := s.here[s.listing[was[n-1]].Num]; fetched && (best == 0 || listing[n-1].Size < listing[best-1].Size) {
			best = n
		}
	}
	if sum := sizesHash(listing, best); best > 0 && sum != nil {
		hash := s.here[s.listing[was[best-1]].Num]
		s.notes.Anchor = &anchor{Num: best, Sizes: sum, Hash: hash[:]}
	}
}

// without returns the listing as it is after deletions, numbered again from 1,
// and where each of its messages is in the listing of this session.
func (s *session) without(deleted []mailstore.LedgerEntry) (rest []Listed, was []int) {
	gone := make(map[mailstore.Origin]bool, len(deleted))
	for _, e := range deleted {
		gone[e.Origin] = true
	}
	for n, l := range s.listing {
		if e := s.planner.stored[n]; e != nil && gone[e.Origin] {
			continue
		}
		if len(deleted) > 0 {
			l.Num = len(rest) + 1
		}
		rest, was = append(rest, l), append(was, n)
	}
	return rest, was
}
