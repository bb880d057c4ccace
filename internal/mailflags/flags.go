// Package mailflags is about the flags of messages: the system flags of IMAP as bits,
// keywords as sets that a Table of the store knows by number, and what STORE makes
// of them (RFC 9051, sections 2.3.2 and 6.4.6). It keeps nothing on disk.
package mailflags

import (
	"slices"
	"strings"

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

// KeywordSet is an set of keywords by its number in a Table; 0 is the empty one. Sets instead
// of bits, so that the number of keywords has no limit, and a snapshot still
// holds the flags of a message in two words.
type KeywordSet uint32

// Flags are the flags of one message. Equal flags compare equal.
type Flags struct {
	System   System
	Keywords KeywordSet
}

// Op says what a change does with the given flags.
type Op uint8

// The operations of STORE (RFC 9051 section 6.4.6).
const (
	Set    Op = iota // replace all flags
	Add              // add to the flags
	Remove           // take from the flags
)

// Apply returns what op makes of old and the given flags.
func (op Op) Apply(old, given System) System {
	switch op {
	case Add:
		return old | given
	case Remove:
		return old &^ given
	default:
		return given
	}
}

// Parse splits flag names into system flags and keywords. \Recent is
// ignored: some clients send back what they were given.
func Parse(names []string) (System, []string, error) {
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
