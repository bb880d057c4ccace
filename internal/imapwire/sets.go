package imapwire

import (
	"slices"
	"strconv"
)

// Last is * in a set: the highest number there is.
const Last = 0

// A Range is from one number to another, either way round; Last may be one of
// them.
type Range struct{ From, To uint32 }

// Starred reports whether one end is Last.
func (r Range) Starred() bool { return r.From == Last || r.To == Last }

// A Set is a sequence-set (RFC 9051 section 9). Saved is $, the result of the last
// SEARCH that was saved (section 6.4.4.1), and has no ranges.
type Set struct {
	Ranges []Range
	Saved  bool
}

// Set reads a sequence-set.
func (r *Reader) Set() Set {
	if r.Take('$') {
		return Set{Saved: true}
	}
	var s Set
	for r.err == nil {
		from := r.setNumber()
		to := from
		if r.Take(':') {
			to = r.setNumber()
		}
		s.Ranges = append(s.Ranges, Range{from, to})
		if !r.Take(',') {
			break
		}
	}
	if r.err != nil {
		return Set{}
	}
	return s
}

func (r *Reader) setNumber() uint32 {
	if r.Take('*') {
		return Last
	}
	return r.NZNumber()
}

// AppendSet appends ascending numbers as a sequence-set.
func AppendSet[N ~uint32](dst []byte, numbers []N) []byte { return AppendSpans(dst, SpansOf(numbers)) }

// SpansOf returns ascending numbers as spans.
func SpansOf[N ~uint32](numbers []N) (spans []Span) {
	for _, n := range numbers {
		if k := len(spans) - 1; k >= 0 && spans[k].To == int(n) {
			spans[k].To++
		} else {
			spans = append(spans, Span{int(n), int(n) + 1})
		}
	}
	return spans
}

// Span are the positions from From, inclusive, to To, exclusive.
type Span struct{ From, To int }

// Resolve returns the positions in an ascending list whose numbers are in the set,
// as spans that ascend, with gaps in between. Numbers that are not in the list are
// passed over; * is the last one, and n:* always has it (RFC 9051 section 9,
// seq-range).
func Resolve[N ~uint32](s Set, list []N) []Span {
	if len(list) == 0 {
		return nil
	}
	return Positions(s.Numbers(uint32(list[len(list)-1])), list)
}

// Positions returns the positions in an ascending list of the numbers in spans.
func Positions[N ~uint32](numbers []Span, list []N) []Span {
	spans := make([]Span, 0, len(numbers))
	for _, s := range numbers {
		i, _ := slices.BinarySearch(list, N(s.From))     // of 32 bits
		j, found := slices.BinarySearch(list, N(s.To-1)) // of 32 bits
		if found {
			j++
		}
		if i < j {
			spans = append(spans, Span{i, j})
		}
	}
	return Merge(spans)
}

// Merge puts spans in order, and those that overlap or meet together.
func Merge(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return a.From - b.From })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// AppendSpans appends spans of numbers as a sequence-set.
func AppendSpans(dst []byte, spans []Span) []byte {
	for i, s := range spans {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(s.From), 10)
		if s.To-s.From > 1 {
			dst = strconv.AppendInt(append(dst, ':'), int64(s.To-1), 10)
		}
	}
	return dst
}

// Numbers returns the numbers of a set as spans that ascend, with gaps in between; *
// is last.
func (s Set) Numbers(last uint32) []Span {
	spans := make([]Span, len(s.Ranges))
	for i, r := range s.Ranges {
		from, to := r.From, r.To
		if from == Last {
			from = last
		}
		if to == Last {
			to = last
		}
		spans[i] = Span{int(min(from, to)), int(max(from, to)) + 1}
	}
	return Merge(spans)
}

// Overlap returns what is in both of two lists of spans that ascend.
func Overlap(a, b []Span) (both []Span) {
	for len(a) > 0 && len(b) > 0 {
		if s := (Span{max(a[0].From, b[0].From), min(a[0].To, b[0].To)}); s.From < s.To {
			both = append(both, s)
		}
		if a[0].To < b[0].To {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}
