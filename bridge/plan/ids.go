package plan

import (
	"math"
	"strconv"
	"strings"
)

// longestPlace is the most bytes that an id can have and be a place.
const longestPlace = 300

// IDs is what the listings of a server have shown about its ids.
type IDs struct {
	// Numbered tells that the ids were the message numbers at some time and have
	// not proven since that they are used once; Top is the highest of them.
	Numbered bool `json:"numbered,omitempty"`
	Top      int  `json:"top,omitempty"`
	// Proven tells that the ids are not the places of the messages in the listing;
	// First is the id that the first message had in the last listing before that.
	Proven bool   `json:"proven,omitempty"`
	First  string `json:"first,omitempty"`
	// Reuses tells that the server has given the id of one message to another.
	Reuses bool `json:"reuses,omitempty"`
}

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

// mayBePlaces reports whether the ids of a listing may say nothing but the place of a
// message in it, as 0, 1, 2, or 0a, 0b, or 1.7, 1.8 do: they go up or down by one from
// message to message, in decimal or hexadecimal, with the same text around. Of one
// message nothing can be told. up is false where they go down.
func mayBePlaces(listing []Listed) (places, up bool) {
	if len(listing) < 2 {
		return true, true
	}
	prefix, suffix := listing[0].UIDL, listing[0].UIDL
	for _, l := range listing {
		for !strings.HasPrefix(l.UIDL, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
		for !strings.HasSuffix(l.UIDL, suffix) {
			suffix = suffix[1:]
		}
	}
	for _, digits := range []string{"0123456789", "0123456789abcdefABCDEF"} {
		before := len(strings.TrimRight(prefix, digits))
		after := len(strings.TrimLeft(suffix, digits))
		if step, ok := steps(listing, before, after, len(digits) > 10); ok {
			return true, step > 0
		}
	}
	return false, false
}

func arePlaces(listing []Listed) bool { places, _ := mayBePlaces(listing); return places }

// steps returns by how much the numbers rise that are left of the ids without so
// many octets before and after, where that is always by one or always by minus one.
func steps(listing []Listed, before, after int, hex bool) (step int64, ok bool) {
	base := 10
	if hex {
		base = 16
	}
	last, num := int64(0), 0
	for i, l := range listing {
		if before+after >= len(l.UIDL) {
			return 0, false
		}
		n, err := strconv.ParseInt(l.UIDL[before:len(l.UIDL)-after], base, 63)
		switch {
		case err != nil:
			return 0, false
		case i == 1 && n < last:
			step = -1
		case i == 1:
			step = 1
		}
		if i > 0 && n-last != step*int64(l.Num-num) { // numbers may have gaps, too
			return 0, false
		}
		last, num = n, l.Num
	}
	return step, true
}

// prove finds out whether ids stay with their messages: until that is known, what
// is to be deleted and was not fetched in the same session is compared. They do where
// they are no places, or where the first message of a listing has another id than the
// first one had before, so that an id is not that of a place.
func (k *IDs) prove(listing []Listed, complete bool) {
	if k.Proven || !complete || len(listing) == 0 || listing[0].UIDL == "" {
		return
	}
	first := listing[0].UIDL
	places, up := mayBePlaces(listing)
	if places && !up {
		k.First = "" // it changes with the number of messages
		return
	}
	if !places || k.First != "" && k.First != first {
		k.Proven, k.First = true, ""
		return
	}
	if k.First = first; len(first) > longestPlace {
		k.Proven, k.First = true, "" // no place is so long
	}
}

// Check drops from a listing the ids that are message numbers: the session goes on
// as with a server that gives none. With a text around the number they are kept
// until the server has used one again. A server that counts its messages, and is polled
// from the start, looks the same until one is deleted. From then on its ids are
// taken, and what is to be deleted is compared until they have proven to rise.
// complete tells that the listing is whole.
func (k *IDs) Check(listing []Listed, complete bool) {
	top, there, counted := 0, false, false
	for _, l := range listing {
		if _, n, _, ok := number(l.UIDL); ok {
			top, there, counted = max(top, n), there || n == k.Top, true
		}
	}
	if found, bare := positional(listing); found {
		for i := range listing {
			if bare || k.Reuses {
				listing[i].UIDL = ""
			}
		}
		k.Numbered, k.Top = true, top
		return
	}
	k.prove(listing, complete)
	if k.Reuses && !k.Proven && len(listing) > 1 && arePlaces(listing) {
		for i := range listing {
			listing[i].UIDL = "" // as of message numbers
		}
		return
	}
	switch {
	case !k.Numbered || !complete || len(listing) == 0:
	case !counted, top > k.Top && !there:
		// An id above the highest one, which is gone: a server that counts again
		// from the highest or the number of its messages would have used it again.
		k.Numbered, k.Top = false, 0
	default:
		k.Top = max(top, k.Top)
	}
}
