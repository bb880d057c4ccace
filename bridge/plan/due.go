package plan

import (
	"slices"
	"time"

	"github.com/popbridge/popbridge/internal/mailstore"
)

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
