// Package fault carries what a person needs to know about an error: its kind,
// one plain sentence, and a hint at what to do.
//
// A fault is made where the cause is understood and travels up wrapped. Three
// places translate it, and no others: IMAP responses (localimap), health
// conditions (agent) and command-line messages with their exit codes
// (agent/cli).
package fault

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind says what sort of error it is, and so who can end it.
type Kind uint8

// The kinds of fault.
const (
	Internal  Kind = iota // a defect of ours, or an error no one classified
	Temporary             // may go away by itself: network, server busy, locked
	Auth                  // user name or password refused
	Config                // the configuration or the usage is wrong
	Protocol              // the other side broke its protocol
	Full                  // no space left
	Corrupt               // stored data is damaged or of a newer program
	NotFound              // the named thing does not exist
	Conflict              // the named thing exists already, or is in use
	Denied                // not permitted to this device or in this mode
)

var kindNames = [...]string{"internal", "temporary", "auth", "config", "protocol", "full", "corrupt", "not found", "conflict", "denied"}

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is an error with a kind, a public text and a hint.
type Error struct {
	Kind Kind
	Text string // one plain sentence, lower case, no full stop; may be shown to anyone
	Hint string // what to do about it; empty where there is nothing to do
	Err  error  // the cause; nil where there is none
}

// New returns a fault without a cause.
func New(kind Kind, text, hint string) error {
	return &Error{Kind: kind, Text: text, Hint: hint}
}

// ErrLimit is in the error of what goes beyond a limit.
var ErrLimit = errors.New("limit reached")

// TooMany says that there are more than most of something, in the plural.
func TooMany(what string, most int) error {
	return Wrap(ErrLimit, Denied, fmt.Sprintf("there are too many %s, at most %d", what, most), "")
}

// Wrap returns err as a fault of the given kind, or nil for a nil err.
func Wrap(err error, kind Kind, text, hint string) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Text: text, Hint: hint, Err: err}
}

// Error returns the text followed by the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost fault in err, or Internal where
// there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return Internal
}

// Is reports whether err carries a fault of the given kind.
func Is(err error, kind Kind) bool {
	f, ok := errors.AsType[*Error](err)
	return ok && f.Kind == kind
}

// Hint returns the first hint in the chain of err, or "".
func Hint(err error) string {
	for err != nil {
		f, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Err
	}
	return ""
}

// MaxQuoted is the longest piece of foreign text, in bytes, that Quote keeps.
const MaxQuoted = 200

// Quote makes text from a server or a file safe to show: one line, control
// characters escaped, at most MaxQuoted bytes.
func Quote(s string) string {
	if len(s) > MaxQuoted {
		s = s[:MaxQuoted] + "…"
	}
	return strconv.Quote(s)
}

// Count writes a number with its noun, as in "1 message" and "2 messages".
func Count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ShellQuote writes a word so that it can be pasted into a shell.
func ShellQuote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-@+,:=", r))
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
