package mailstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/popbridge/popbridge/internal/fault"
)

// System is the set of system flags of a message. The bits are stored.
type System uint8

// The system flags of RFC 9051 section 2.3.2.
const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

var systemNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// KeywordSet is an interned set of keywords; 0 is the empty one. Sets instead
// of bits, so that the number of keywords has no limit, and a snapshot still
// holds the flags of a message in two words.
type KeywordSet uint32

// Flags are the flags of one message. Equal flags compare equal.
type Flags struct {
	System   System
	Keywords KeywordSet
}

// keywords knows all sets. Sets are added under the mutex of the writer and
// never changed.
type keywords struct {
	mu       sync.RWMutex
	sets     [][]string            // names of each set, sorted without regard to case
	ids      map[string]KeywordSet // by key
	spelling map[string]string     // first spelling of each keyword by its lower case
	octets   int                   // of all sets
	rendered map[Flags][]string
}

func (k *keywords) load(r *reader) error {
	var n keywords // aside: others may be looking at k
	n.reset()
	err := r.rows(context.Background(), `SELECT id, names FROM keyword_set ORDER BY id`, nil, func(rows *sql.Rows) error {
		var id int
		var names string
		if err := rows.Scan(&id, &names); err != nil {
			return err
		}
		if id != len(n.sets) {
			return fault.New(fault.Corrupt, fmt.Sprintf("the index of the mail store lacks keyword set %d", len(n.sets)),
				repairHint)
		}
		n.add(strings.Fields(names))
		return nil
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sets, k.ids, k.spelling, k.octets, k.rendered = n.sets, n.ids, n.spelling, n.octets, n.rendered
	return nil
}

func (k *keywords) reset() {
	k.sets = [][]string{nil}
	k.ids = map[string]KeywordSet{"": 0}
	k.spelling = map[string]string{}
	k.rendered = map[Flags][]string{}
}

func (k *keywords) add(names []string) KeywordSet {
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

func (k *keywords) count() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.sets)
}

// truncate takes back the sets of a transaction that was rolled back. No one
// has seen them. The spelling of a keyword may stay, which is harmless.
func (k *keywords) truncate(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, names := range k.sets[n:] {
		delete(k.ids, keywordKey(names))
		k.octets -= setOctets(names)
	}
	k.sets = k.sets[:n]
}

func (k *keywords) names(set KeywordSet) []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if int(set) >= len(k.sets) {
		return nil
	}
	return k.sets[set]
}

// FlagNames returns the names of flags as IMAP writes them, without \Recent.
// The slice is shared and must not be changed.
func (s *Store) FlagNames(f Flags) []string {
	k := &s.keywords
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
	names = slices.Clip(append(names, k.names(f.Keywords)...))
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

// parseFlags splits flag names into system flags and keywords. \Recent is
// ignored: some clients send back what they were given.
func parseFlags(names []string) (System, []string, error) {
	var system System
	var words []string
	for _, name := range names {
		if strings.EqualFold(name, `\Recent`) {
			continue
		}
		i := slices.IndexFunc(systemNames[:], func(s string) bool { return strings.EqualFold(s, name) })
		switch {
		case i >= 0:
			system |= 1 << i
		case validKeyword(name):
			words = append(words, name)
		default:
			return 0, nil, fault.New(fault.Config, "flag "+fault.Quote(name)+" is not possible",
				"use letters, digits and punctuation other than ( ) { % * \" \\ ]")
		}
	}
	return system, words, nil
}

// validKeyword reports whether name is a flag-keyword of RFC 9051 section 9,
// which is an atom.
func validKeyword(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// intern returns the set of the given keywords, making it where it is new.
func (t *tx) intern(words []string) (KeywordSet, error) {
	k := &t.s.keywords
	words = k.canonical(words)
	k.mu.RLock()
	id, ok := k.ids[keywordKey(words)]
	err := k.roomLocked(words)
	k.mu.RUnlock()
	if ok {
		return id, nil
	} else if err != nil {
		return 0, err
	}
	id = k.add(words)
	t.log.line('K', int64(id), strings.Join(words, " "))
	return id, t.exec(`INSERT INTO keyword_set (id, names) VALUES (?, ?)`, int64(id), strings.Join(words, " "))
}

// roomLocked returns an error where there is no room for a new set.
func (k *keywords) roomLocked(words []string) error {
	fresh := 0
	for _, w := range words {
		if k.spelling[strings.ToLower(w)] == "" {
			fresh++
		}
	}
	switch {
	case len(words) > maxMessageWords:
		return tooMany("keywords of one message", maxMessageWords)
	case fresh > 0 && len(k.spelling)+fresh > maxKeywords:
		return tooMany("keywords", maxKeywords)
	case k.octets > maxKeywordOctets:
		return tooMany("octets in sets of keywords", maxKeywordOctets)
	}
	return nil
}

// canonical sorts words without regard to case, each once and in the spelling
// in which it was first used.
func (k *keywords) canonical(words []string) []string {
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

// merge returns the set that op makes of old and words.
func (t *tx) merge(old KeywordSet, op FlagOp, words []string) (KeywordSet, error) {
	if len(words) == 0 && op != Set {
		return old, nil
	}
	names := t.s.keywords.names(old)
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
	return t.intern(names)
}
