package bridge

import (
	"math"
	"strconv"
	"strings"
)

// number splits an id into a number and the text around it. ok is false when
// there is no number or more than one: "UID7-1700000000" has a part that
// changes with the mailbox, as real ids do.
func number(uidl string) (before string, n int, after string, ok bool) {
	const digits = "0123456789"
	from := strings.IndexAny(uidl, digits)
	if from < 0 {
		return "", 0, "", false
	}
	to := strings.LastIndexAny(uidl, digits) + 1
	n, err := strconv.Atoi(uidl[from:to]) // fails on anything between digits, and on a hash
	return uidl[:from], n, uidl[to:], err == nil && n <= math.MaxInt32
}

// positional reports whether the ids of a listing are the message numbers, and
// whether there is nothing but leading zeros around them. RFC 1939 section 7
// wants an id to stay with its message; these move to the next message when one
// before it is deleted.
func positional(listing []Listed) (found, bare bool) {
	first, last := "", ""
	for _, l := range listing {
		if l.UIDL == "" {
			continue
		}
		before, n, after, ok := number(l.UIDL)
		if !ok || n != l.Num || found && (before != first || after != last) {
			return false, false
		}
		found, first, last = true, before, after
	}
	return found, found && first == "" && last == ""
}

// checkIDs drops ids that are message numbers: the session goes on as with a
// server that gives none. With a text around the number they are kept until the
// server has used one again. A server that counts its messages, and is polled
// from the start, looks the same until one is deleted. From then on its ids are
// taken, and what is to be deleted is compared until they have proven to rise.
func (s *session) checkIDs() {
	top, there, counted := 0, false, false
	for _, l := range s.listing {
		if _, n, _, ok := number(l.UIDL); ok {
			top, there, counted = max(top, n), there || n == s.notes.Top, true
		}
	}
	if found, bare := positional(s.listing); found {
		for i := range s.listing {
			if bare || s.notes.Reuses {
				s.listing[i].UIDL = ""
			}
		}
		s.notes.Numbered, s.notes.Top = true, top
		return
	}
	switch {
	case !s.notes.Numbered || !s.complete || len(s.listing) == 0:
	case !counted, top > s.notes.Top && !there:
		// An id above the highest one, which is gone: a server that counts again
		// from the highest or the number of its messages would have used it again.
		s.notes.Numbered, s.notes.Top = false, 0
	default:
		s.notes.Top = max(top, s.notes.Top)
	}
}
