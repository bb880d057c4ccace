package bridge

import (
	"cmp"
	"context"
	"slices"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// sampleSize is the number of messages that are compared before an account is
// taken for one that the config does not name any more.
const sampleSize = 5

// former is an account of which there is a ledger and nothing in the config.
type former struct {
	name   string
	hashes map[mailstore.Hash]bool
	alike  []plan.Listed // what is listed and may be of it
}

// inheritByContent takes up what is remembered of the mailbox if the account is
// new and was in the config by another name, user name or host: otherwise all
// that is there would come once more. The evidence is content: of what is listed
// with sizes of a ledger that no account uses, most of a sample is stored under that
// ledger, byte for byte. Ids prove nothing, as many servers count from 1.
func (s *session) inheritByContent(ctx context.Context) error {
	if !s.memory.pollState.New || len(s.ledger) > 0 || len(s.listing) == 0 || s.account.Configured == nil {
		return nil
	}
	candidates, err := s.formers(ctx)
	if err != nil {
		return err
	}
	for _, c := range candidates {
		known, err := s.isFormer(c)
		if err != nil {
			return err
		}
		if known {
			if _, err := s.takeUp(ctx, func(name, _ string) bool { return name == c.name }); err != nil {
				return err
			}
			s.ledger, err = s.store.Ledger(ctx, s.account.Name)
			return err
		}
	}
	return nil
}

// formers returns the accounts that may be this one, the likeliest first.
func (s *session) formers(ctx context.Context) (list []former, err error) {
	var names []string
	_, _, err = s.store.Inherit(ctx, s.account.Name, func(name, _ string) bool {
		if !s.account.Configured(name) {
			names = append(names, name)
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		ledger, err := s.store.Ledger(ctx, name)
		if err != nil {
			return nil, err
		}
		f := former{name: name, hashes: make(map[mailstore.Hash]bool, len(ledger))}
		var sizes []int64
		for _, e := range ledger {
			f.hashes[e.Hash] = true
			sizes = append(sizes, e.ListSize, e.Size)
		}
		if f.alike = alikeIn(s.listing, sizes); len(f.alike) > 0 {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b former) int { return cmp.Compare(len(b.alike), len(a.alike)) })
	return list, nil
}

// alikeIn returns what is listed with one of these sizes; where nothing is, what is
// listed as a little smaller, as a server does that counts line ends as one octet.
func alikeIn(listing []plan.Listed, sizes []int64) (alike []plan.Listed) {
	slices.Sort(sizes)
	for _, longer := range []int64{0, 20} { // lines of 20 octets and more
		for _, l := range listing {
			i, found := slices.BinarySearch(sizes, l.Size)
			if found || longer > 0 && i < len(sizes) && sizes[i]-l.Size <= l.Size/longer {
				alike = append(alike, l)
			}
		}
		if len(alike) > 0 {
			break
		}
	}
	return alike
}

// isFormer compares a sample, spread over the listing, as much of it as the server
// gives in one session. What came and is not stored here keeps the session from QUIT
// (RFC 2449 section 6.7, EXPIRE 0).
func (s *session) isFormer(f former) (bool, error) {
	s.meter.phase(PhaseCompare)
	n := min(sampleSize, len(f.alike))
	var requests []pop3.Request
	for i := range n {
		l := f.alike[i*len(f.alike)/n]
		requests = append(requests, pop3.Request{Num: l.Num, Size: l.Size})
	}
	hashes, err := s.hashes(requests...)
	same := 0
	for _, h := range hashes {
		if f.hashes[h] {
			same++
		}
	}
	s.wasted = s.wasted || same < len(hashes) || err != nil
	return same*2 > len(hashes), err
}
