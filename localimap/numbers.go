package localimap

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// resolve returns the indices of the messages in set, ascending, each once.
// `*` is the last message the client knows; `n:*` always holds it, also where n
// is beyond it (RFC 9051 section 9, seq-range). UIDs that do not exist are
// passed over (section 6.4.9); a sequence number above the number of messages
// is an error of the client (RFC 3501 section 9, seq-number).
func (v *view) resolve(set imap.NumSet) ([]int, error) {
	if imap.IsSearchRes(set) {
		return v.indices(v.saved), nil
	}
	spans, err := v.spans(set)
	n := 0
	for _, s := range spans {
		n += s.to - s.from
	}
	list := make([]int, 0, n)
	for _, s := range spans {
		for i := s.from; i < s.to; i++ {
			list = append(list, i)
		}
	}
	return list, err
}

// span are the indices from, inclusive, to, exclusive.
type span struct{ from, to int }

// spans returns what a set that is not $ stands for, ascending, with gaps in
// between. It takes the room of the set, whatever that stands for.
func (v *view) spans(set imap.NumSet) ([]span, error) {
	var spans []span
	switch set := set.(type) {
	case imap.SeqSet:
		n := uint32(len(v.told.uids))
		for _, r := range set {
			from, to := r.Start, r.Stop
			if n == 0 && (from == 0 || to == 0) {
				continue
			}
			if from, to = starred(from, to, n); to > n && r.Start != 0 && r.Stop != 0 {
				return nil, bad("No such message")
			}
			spans = append(spans, span{int(from) - 1, int(min(to, n))})
		}
	case imap.UIDSet:
		uids := v.told.uids
		if len(uids) == 0 {
			return nil, nil
		}
		for _, r := range set {
			from, to := starred(uint32(r.Start), uint32(r.Stop), uint32(uids[len(uids)-1]))
			i, _ := slices.BinarySearch(uids, mailstore.UID(from))
			j, found := slices.BinarySearch(uids, mailstore.UID(to))
			if found {
				j++
			}
			spans = append(spans, span{i, j})
		}
	}
	return merged(spans), nil
}

// starred gives `*`, which is 0, its value and puts the ends in order.
func starred(from, to, last uint32) (uint32, uint32) {
	if from == 0 {
		from = last
	}
	if to == 0 {
		to = last
	}
	return min(from, to), max(from, to)
}

// merged puts spans in order, and those that overlap or meet together.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// indices returns those of the UIDs the client knows; uids ascend.
func (v *view) indices(uids []mailstore.UID) []int {
	list := make([]int, 0, len(uids))
	for _, uid := range uids {
		if i, ok := slices.BinarySearch(v.told.uids, uid); ok {
			list = append(list, i)
		}
	}
	return list
}

// uidsOf returns the UIDs of the messages at the given indices.
func (v *view) uidsOf(indices []int) []mailstore.UID {
	uids := make([]mailstore.UID, len(indices))
	for k, i := range indices {
		uids[k] = v.told.uids[i]
	}
	return uids
}

func uidSet(uids []mailstore.UID) imap.UIDSet {
	var set imap.UIDSet
	for _, uid := range uids {
		// AddNum would search the set for each; these ascend.
		if n := len(set); n > 0 && set[n-1].Stop+1 == imap.UID(uid) {
			set[n-1].Stop++
			continue
		}
		set = append(set, imap.UIDRange{Start: imap.UID(uid), Stop: imap.UID(uid)})
	}
	return set
}

func seqSet(indices []int) imap.SeqSet {
	var set imap.SeqSet
	for _, i := range indices {
		num := uint32(i + 1)
		if n := len(set); n > 0 && set[n-1].Stop+1 == num {
			set[n-1].Stop++
			continue
		}
		set = append(set, imap.SeqRange{Start: num, Stop: num})
	}
	return set
}
