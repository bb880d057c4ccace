package plan

import "slices"

// Listed is one message of a listing: LIST and UIDL joined by number.
type Listed struct {
	Num  int
	Size int64  // as LIST announced it, a hint; 0: unknown
	UIDL string // "": the server gave none
}

// ByNumber sorts a listing. Of a number that was listed twice the last counts.
func ByNumber(listing []Listed) []Listed {
	slices.SortStableFunc(listing, func(a, b Listed) int { return a.Num - b.Num })
	slices.Reverse(listing)
	listing = slices.CompactFunc(listing, func(a, b Listed) bool { return a.Num == b.Num })
	slices.Reverse(listing)
	return listing
}

// Find returns where a number is in a sorted listing.
func Find(listing []Listed, num int) (n int, listed bool) {
	return slices.BinarySearchFunc(listing, num, func(l Listed, num int) int { return l.Num - num })
}
