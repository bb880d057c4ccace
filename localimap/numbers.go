package localimap

import (
	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// resolve returns the indices of the messages in set, ascending, each once. UIDs
// that do not exist are passed over (RFC 9051 section 6.4.9); a sequence number
// above the number of messages is an error of the client (RFC 3501 section 9,
// seq-number).
func (v *view) resolve(set imapwire.Set, byUID bool) ([]int, error) {
	spans, err := v.spans(set, byUID)
	if err != nil {
		return nil, err
	}
	list := make([]int, 0, count(spans))
	for _, s := range spans {
		for i := s.From; i < s.To; i++ {
			list = append(list, i)
		}
	}
	return list, nil
}

// set reads a set of messages.
func (s *session) set() imapwire.Set {
	set := s.in.Set()
	if set.Saved {
		s.needs(imap.CapSearchRes)
	}
	return set
}

// spans returns what a set stands for, ascending, with gaps in between. It takes
// the room of the set, whatever that stands for. The error is about sequence
// numbers that are left out, because there is no such message.
func (v *view) spans(set imapwire.Set, byUID bool) (spans []imapwire.Span, err error) {
	switch {
	case set.Saved:
		return imapwire.Positions(imapwire.SpansOf(v.saved), v.told.uids), nil
	case byUID:
		return imapwire.Resolve(set, v.told.uids), nil
	}
	n := len(v.told.uids)
	for _, r := range set.Ranges {
		if !r.Starred() && int(max(r.From, r.To)) > n {
			err = bad("No such message")
		}
	}
	spans = imapwire.Overlap(set.Numbers(uint32(n)), []imapwire.Span{{From: 1, To: n + 1}})
	for k := range spans {
		spans[k].From, spans[k].To = spans[k].From-1, spans[k].To-1
	}
	return spans, err
}

// uidsOf returns the UIDs of the messages at the given indices.
func (v *view) uidsOf(indices []int) []mailstore.UID {
	uids := make([]mailstore.UID, len(indices))
	for k, i := range indices {
		uids[k] = v.told.uids[i]
	}
	return uids
}

// numbersOf returns the sequence numbers of the messages at the given indices, or
// their UIDs.
func (v *view) numbersOf(indices []int, byUID bool) []uint32 {
	numbers := make([]uint32, len(indices))
	for k, i := range indices {
		if numbers[k] = uint32(i + 1); byUID {
			numbers[k] = uint32(v.told.uids[i])
		}
	}
	return numbers
}
