// Package terminal makes text safe for a terminal, whoever wrote it: the names
// of folders, the subjects of mail, what servers and certificates say.
//
// What is made visible instead of being sent: C0 and C1 control characters,
// with which a terminal can be told to change its title, its colours or what was
// printed before; bidirectional controls, with which text shows in another order
// than it has; bytes that are no UTF-8, which old terminals take for C1. Line
// ends and tabs stay.
package terminal

import (
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// Safe reports whether a terminal shows the rune, and does nothing else.
func Safe(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return true
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL and C1
		return false
	case r == 0x061c, r == 0x200e, r == 0x200f, r == 0x2028, r == 0x2029,
		r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // UAX #9, and line separators
		return false
	}
	return true
}

// Text returns text with every rune that is not Safe as an escape of Go: \x1b.
func Text(s string) string { return string(clean(nil, []byte(s), `\x%02x`)) }

// Writer returns a writer that passes text on to w as Text makes it.
func Writer(w io.Writer) io.Writer { return &writer{w: w, control: `\x%02x`} }

// JSONWriter is Writer for JSON, in which these runes occur in strings only and
// have escapes of their own; so it stays the same JSON.
func JSONWriter(w io.Writer) io.Writer { return &writer{w: w, control: `\u%04x`} }

// writer is safe for use by several goroutines, as the logger is.
type writer struct {
	w       io.Writer
	control string // the format of an escape

	mu   sync.Mutex
	rest []byte // the beginning of a rune whose end has not come
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.rest, p...)
	w.rest = nil
	for i := max(0, len(text)-utf8.UTFMax+1); i < len(text); i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			w.rest = append([]byte(nil), text[i:]...)
			text = text[:i]
		}
	}
	if _, err := w.w.Write(clean(make([]byte, 0, len(text)), text, w.control)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// clean appends text to out. A byte that is no UTF-8 is escaped as a control
// character is.
func clean(out, text []byte, control string) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, control, text[0])
		case Safe(r):
			out = append(out, text[:n]...)
		case r > 0xff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = fmt.Appendf(out, control, r)
		}
		text = text[n:]
	}
	return out
}
