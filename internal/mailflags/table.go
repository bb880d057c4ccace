package mailflags

import (
	"slices"
	"strings"
	"sync"

	"github.com/popbridge/popbridge/internal/fault"
)

// What one user may fill a Table with.
const (
	MaxKeywords = 1000    // different ones
	MaxWords    = 100     // keywords of one message
	maxOctets   = 4 << 20 // of all sets, which stay in memory
	maxRendered = 10_000  // combinations of flags whose names are at hand
)

// A Table knows all sets of keywords. Make it with NewTable. Many may read while one
// adds; sets are never changed.
type Table struct {
	mu       sync.RWMutex
	sets     [][]string            // names of each set, sorted without regard to case
	ids      map[string]KeywordSet // by key
	spelling map[string]string     // first spelling of each keyword by its lower case
	octets   int                   // of all sets
	rendered map[Flags][]string
}

// NewTable has the empty set.
func NewTable() *Table {
	return &Table{
		sets:     [][]string{nil},
		ids:      map[string]KeywordSet{"": 0},
		spelling: map[string]string{},
		rendered: map[Flags][]string{},
	}
}

// Add makes the next set. names are as Find returns them.
func (k *Table) Add(names []string) KeywordSet {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := KeywordSet(len(k.sets))
	k.sets = append(k.sets, names)
	k.ids[keywordKey(names)] = id
	k.octets += setOctets(names)
	for _, n := range names {
		if low := strings.ToLower(n); k.spelling[low] == "" {
			k.spelling[low] = n
		}
	}
	return id
}

// Replace has k know the sets of other, which no one uses any more.
func (k *Table) Replace(other *Table) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sets, k.ids, k.spelling, k.octets, k.rendered = other.sets, other.ids, other.spelling, other.octets, other.rendered
}

// Len is how many sets there are; the next one gets this number.
func (k *Table) Len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.sets)
}

// Truncate takes back all but the first n sets: those of a transaction that was rolled back. No one
// has seen them. The spelling of a keyword may stay, which is harmless.
func (k *Table) Truncate(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, names := range k.sets[n:] {
		delete(k.ids, keywordKey(names))
		k.octets -= setOctets(names)
	}
	k.sets = k.sets[:n]
}

// Names returns the keywords of a set, which must not be changed.
func (k *Table) Names(set KeywordSet) []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if int(set) >= len(k.sets) {
		return nil
	}
	return k.sets[set]
}

// Render returns the names of flags as IMAP writes them, without \Recent.
// The slice is shared and must not be changed.
func (k *Table) Render(f Flags) []string {
	k.mu.RLock()
	names, ok := k.rendered[f]
	k.mu.RUnlock()
	if ok {
		return names
	}
	for i, name := range systemNames {
		if f.System&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	names = slices.Clip(append(names, k.Names(f.Keywords)...))
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.rendered) >= maxRendered {
		clear(k.rendered)
	}
	k.rendered[f] = names
	return names
}

// setOctets is about what a set takes in memory.
func setOctets(names []string) int { return len(keywordKey(names)) + 64 }

func keywordKey(names []string) string { return strings.ToLower(strings.Join(names, " ")) }

// Find returns words as a set has them, each once and in the spelling in which it was
// first used, and the number of that set. Where it is not known there is room for
// it, or an error.
func (k *Table) Find(words []string) (names []string, set KeywordSet, known bool, err error) {
	names = k.canonical(words)
	k.mu.RLock()
	defer k.mu.RUnlock()
	if set, known = k.ids[keywordKey(names)]; !known {
		err = k.roomLocked(names)
	}
	return names, set, known, err
}

// roomLocked returns an error where there is no room for a new set.
func (k *Table) roomLocked(words []string) error {
	fresh := 0
	for _, w := range words {
		if k.spelling[strings.ToLower(w)] == "" {
			fresh++
		}
	}
	switch {
	case len(words) > MaxWords:
		return fault.TooMany("keywords of one message", MaxWords)
	case fresh > 0 && len(k.spelling)+fresh > MaxKeywords:
		return fault.TooMany("keywords", MaxKeywords)
	case k.octets > maxOctets:
		return fault.TooMany("octets in sets of keywords", maxOctets)
	}
	return nil
}

// canonical sorts words without regard to case, each once and in the spelling
// in which it was first used.
func (k *Table) canonical(words []string) []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]string, 0, len(words))
	for _, w := range words {
		if first := k.spelling[strings.ToLower(w)]; first != "" {
			w = first
		}
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(out, strings.EqualFold)
}

// Merged returns the keywords that op makes of a set and words.
func (k *Table) Merged(old KeywordSet, op Op, words []string) []string {
	names := k.Names(old)
	switch op {
	case Set:
		names = words
	case Add:
		names = append(slices.Clip(names), words...)
	case Remove:
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(n, w) })
		})
	}
	return names
}
